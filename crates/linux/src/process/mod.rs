//! What a process is given before it is executed.
