"""What is learned of a record is what it says, and here is why."""
