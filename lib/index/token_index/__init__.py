"""The index of token vectors: how it stores them, and the documents it picks for an exact
MaxSim.
"""
