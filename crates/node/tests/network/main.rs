//! Task networks with the real kernel, the real `nft` and real packets: what our rules mean is decided there.

mod groups;
mod lab;
mod life;
mod outside;
mod relays;
mod router;
mod vpcs;

use lab::{Fate::*, *};
use std::collections::HashSet;

const ALL_OUT: &[&str] = &["all * 0.0.0.0/0"];

/// Everything that we may change on a machine, but for numbers that the kernel gives anew, with all routers.
fn machine() -> String {
    let look = "ip -o link show | sed \"s/^[0-9]*: //; s/ link.*//; s/@if[0-9]*//\"; ip route show table all; ip rule; \
        nft list tables";
    sh(&format!(
        "look='{look}'; sh -c \"$look\"; grep -c netns /proc/thread-self/mountinfo; cat /proc/sys/net/ipv4/ip_forward; \
        for router in $(grep -o '[^ ]*/router ' /proc/thread-self/mountinfo); do nsenter --net=$router sh -c \"$look\"; done"
    ))
}
