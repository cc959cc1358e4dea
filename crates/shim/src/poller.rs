//! epoll, with a closed list of what can wake the shim.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// How many events one wait returns; the others come with the next.
const EVENTS_PER_WAIT: usize = 32;

/// Every reason for the shim to wake up, besides the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A child ended.
    Signals,
    /// A client connects.
    Listener,
    /// A client says something, can be told more, or is gone.
    Client(u32),
    /// A container wrote something, or closed its output.
    Stream(u32),
}

impl Token {
    fn to_bits(self) -> u64 {
        match self {
            Self::Signals => 0,
            Self::Listener => 1,
            Self::Client(id) => 1 << 32 | u64::from(id),
            Self::Stream(id) => 2 << 32 | u64::from(id),
        }
    }

    fn from_bits(bits: u64) -> Self {
        let id = bits as u32;
        match bits >> 32 {
            0 if id == 0 => Self::Signals,
            0 => Self::Listener,
            1 => Self::Client(id),
            _ => Self::Stream(id),
        }
    }
}

/// What a descriptor is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    ReadWrite,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::ReadWrite => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        }
    }
}

pub(crate) struct Poller {
    epoll: Epoll,
}

impl Poller {
    pub fn new() -> nix::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        })
    }

    pub fn add(&self, fd: impl AsFd, token: Token, interest: Interest) -> nix::Result<()> {
        let event = EpollEvent::new(interest.flags(), token.to_bits());
        self.epoll.add(fd, event)
    }

    pub fn change(&self, fd: impl AsFd, token: Token, interest: Interest) -> nix::Result<()> {
        let mut event = EpollEvent::new(interest.flags(), token.to_bits());
        self.epoll.modify(fd, &mut event)
    }

    /// A pipe that is not read now must not be watched at all: its hang-up would be reported again and again.
    pub fn remove(&self, fd: impl AsFd) -> nix::Result<()> {
        self.epoll.delete(fd)
    }

    /// Waits for something to happen, or for `timeout_millis`; `None` is without limit.
    pub fn wait(&self, timeout_millis: Option<u64>) -> nix::Result<Vec<Token>> {
        let timeout = match timeout_millis {
            None => EpollTimeout::NONE,
            Some(millis) => EpollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX)),
        };
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error),
        };
        Ok(events[..count]
            .iter()
            .map(|event| Token::from_bits(event.data()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [
            Token::Signals,
            Token::Listener,
            Token::Client(0),
            Token::Client(u32::MAX),
            Token::Stream(0),
            Token::Stream(7),
        ] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
