"""What a trained net has learned: its filters, colours, predictions and features; the report."""
