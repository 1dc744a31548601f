"""A page that shows a trained net's activations on pictures, layer by layer."""
