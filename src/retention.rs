//! Decides which archives to keep. Never removes anything.
