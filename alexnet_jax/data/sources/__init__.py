"""Where pictures come from: folders, archives, drawn shapes, TFDS."""
