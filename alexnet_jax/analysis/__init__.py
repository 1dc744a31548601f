"""What a trained net learned: its filters, its colours, its answers, its features."""
