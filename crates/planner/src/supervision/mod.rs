//! What the supervisor of one task does next: pure.
