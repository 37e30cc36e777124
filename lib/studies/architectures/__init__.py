"""Compare dual encoders, late interaction, cross-encoders and two stages."""
