//! What an agent says to commands is copied to the guests that wait for it, and to nobody else.

use spoolway_protocol::Route;
use spoolway_relay::mailbox::{Letter, Refused};
use spoolway_relay::router::ConnId;

use crate::names::{Who, address};
use crate::world::World;

impl World {
    /// Gives guests their copies, once; whether there are any. A guest that does not read is closed, as any watcher is.
    pub(crate) fn copy_to_guests(&mut self, id: u64, text: &str, watchers: Vec<u64>) -> bool {
        let was_copied = std::mem::take(&mut self.conns.get_mut(&id).unwrap().is_copied);
        let who = self.conns[&id].who;
        let head = Route::parse(text).unwrap();
        let frame = head.rewrite(&address(who), 0);
        // Watchers of telemetry and events are not followed here.
        let is_guest = |id: &u64| matches!(self.conns[id].who, Who::Guest(_));
        let guests: Vec<u64> = watchers.into_iter().filter(is_guest).collect();
        assert!(guests.is_empty() || head.t == "cmd.recv", "a guest hears answers and nothing else");
        let is_heard = !guests.is_empty();
        for guest in guests.into_iter().filter(|_| !was_copied) {
            self.check_receiver(who, guest);
            let letter = Letter::of(&head, &text.into(), &address(who), ConnId(id), self.now_ms);
            let conn = self.conns.get_mut(&guest).unwrap();
            match conn.mailbox.push(letter) {
                Ok(_) => {
                    conn.owed.push_back(frame.clone());
                    self.copies += 1;
                }
                Err(Refused::Closed) => {}
                Err(Refused::Full(_)) => {
                    self.closed_guests += 1;
                    self.close(guest, 4008);
                }
            }
        }
        is_heard
    }
}
