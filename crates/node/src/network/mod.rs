//! The network of a node: task namespaces, addresses, routes and the firewall.
