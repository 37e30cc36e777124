"""Models: `encoder.load_encoder` loads any model of pictures, `trained_models.load_model` our
artifacts, and `clap_encoder.load_clap` a model of sounds.

Their cards and stored embeddings are read by `artifact_files`, without torch.
"""
