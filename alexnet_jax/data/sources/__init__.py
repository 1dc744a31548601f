"""The sources of images: folders, archives, drawn shapes, TFDS."""
