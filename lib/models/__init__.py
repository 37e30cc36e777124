"""Models: `encoder.load_encoder` loads any model, `trained_models.load_model` our artifacts."""
