"""Reading an automation's link clicks from SendGrid's API."""
