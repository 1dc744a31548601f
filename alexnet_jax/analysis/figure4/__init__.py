"""Figure 4 of the paper: best classes, and neighbours in the last hidden layer."""
