"""What is known of the whole account: its automations, who of them is polled, and their statistics."""
