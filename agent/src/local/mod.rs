//! The local socket: the commands of this machine's people, one JSON object a line each way.

mod answers;
mod client;
mod counter;
mod held_out;
mod listen;
mod lock;
mod serve;
mod within;
pub mod words;

pub use client::{Client, TalkError};
pub use counter::Counter;
pub use listen::{BindSocketError, Doorway, bind};
pub use lock::{LockStateError, StateLock};
pub use serve::{Counterpart, serve};
pub use words::PrintWishes;
