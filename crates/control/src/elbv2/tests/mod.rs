//! Load balancing on a real store, where what matters is not on the wire: time, conflicts, transactions of others.
