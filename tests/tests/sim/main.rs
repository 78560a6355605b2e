//! The simulated printer is what firmwares are, and whole prints on it in virtual time end as they must.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dialects;
mod gear;
mod pairing;
mod printer;
mod printer_properties;
mod rotation;
mod seeds;
