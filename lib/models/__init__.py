"""Models: `encoder.load_encoder` loads any model, `trained_models.load_model` our artifacts.

Their cards and stored embeddings are read by `artifact_files`, without torch.
"""
