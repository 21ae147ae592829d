//! The control socket: how `cloakfs status`, `sync` and `umount` speak with the daemon without
//! touching the mount, which may hang or be busy.
//!
//! A Unix stream socket in the state directory's `run/`, mode 0600 in a directory of mode 0700:
//! who may open it is the user who mounted, or root. [`protocol`] is what is said on it,
//! [`server`] runs in the daemon, [`client`] in the command, which as root also finds the daemons
//! of others.

mod answers;
pub mod client;
mod elsewhere;
pub mod protocol;
pub mod server;

#[cfg(test)]
mod tests;
