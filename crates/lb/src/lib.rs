//! The data plane of all load balancers of a machine.
