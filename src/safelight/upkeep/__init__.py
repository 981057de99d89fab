"""What a server does beside answering: requeue, end, remove, deliver."""
