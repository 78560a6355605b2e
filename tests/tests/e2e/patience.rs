//! Waiting for what a whole house does, with its logs when it does not.

use std::time::{Duration, Instant};

use spoolway_agent::local::Client;
use spoolway_tests::demo::house::House;

/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(150);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What `look` finds, as soon as it finds something.
pub(crate) fn until<T>(house: &House, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let hung = Instant::now() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < hung, "waited for {what}\n{}", house.logs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A connection to the agent's socket, which may still be on its way.
pub(crate) fn client(house: &House) -> Client {
    until(house, "the agent's socket", || Client::connect(&house.socket()).ok())
}
