"""Choose and calibrate the score that tells unknown queries from real ones."""
