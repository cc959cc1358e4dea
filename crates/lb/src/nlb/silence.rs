//! Ways to end a TCP connection other than by an orderly close.

use socket2::SockRef;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::TcpStream;

/// The peer gets an RST when the stream is dropped.
pub fn reset_on_close(stream: &TcpStream) {
    // If it fails the peer gets a FIN instead, and the connection ends all the same.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// The peer gets nothing when the stream is dropped, and an RST for what it sends later: how AWS ends an idle flow.
/// Source: "Network Load Balancers", connection idle timeout.
///
/// A socket in the kernel's repair mode is forgotten without a packet. That needs CAP_NET_ADMIN over its namespace;
/// without it the RST comes now.
pub fn forget_on_close(stream: &TcpStream) {
    reset_on_close(stream);
    let _ = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::TcpRepair, &1);
}

/// How many segments have arrived on the connection, keep-alives among them; `None` if the kernel does not tell.
pub fn segments_in(stream: &TcpStream) -> Option<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes into `info`, which is as long.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: all of it was zeroed before the call, and every bit pattern is a `tcp_info`.
    let info = unsafe { info.assume_init() };
    (result == 0).then_some(info.tcpi_segs_in)
}
