"""The features of a layer, for use elsewhere."""
