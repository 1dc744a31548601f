"""What was learned: filters, predictions, neighbours, errors by class, and the report page."""
