"""Files of pictures, films and sound, decoded one by one and within limits."""
