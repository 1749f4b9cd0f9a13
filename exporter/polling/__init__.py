"""The polls: who is due, what one poll does, and the threads that do it."""
