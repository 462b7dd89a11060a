"""What scores say, who is champion, and why scores fell.

Everything that decides by evidence belongs here. Nothing here steps an environment, touches a file, or knows the order
of the loop.
"""
