//! One update, step by step; and many of them with updaters, prints and kills in between.

use super::*;

const MINUTE_MS: u64 = 60_000;
const NOON_MS: u64 = 1_760_000_000_000;

fn id(number: u8) -> CmdId {
    CmdId::from_parts(NOON_MS, &[number; 10])
}

fn order(number: u8) -> Order {
    Order {
        id: id(number),
        version: Some("0.2.0-1".to_owned()),
        not_before: Some(NOON_MS + 10 * MINUTE_MS),
        not_after: NOON_MS + 20 * MINUTE_MS,
    }
}

/// So many minutes after noon, and after the boot.
fn minute(boot: &BootId, minutes: u64) -> Now<'_> {
    let ms = minutes * MINUTE_MS;
    Now { at: Moment::from_millis(ms), boot, unix_ms: Some(NOON_MS + ms) }
}

fn boot(name: &str) -> BootId {
    BootId::new(name).unwrap()
}

fn wished(number: u8) -> Update {
    Update::default().wish(order(number), Some(NOON_MS)).unwrap().unwrap().next
}

fn asked(number: u8, boot: &BootId) -> Update {
    wished(number).look(minute(boot, 10), true).unwrap().next
}

fn installing(number: u8, boot: &BootId) -> Update {
    asked(number, boot).let_in(id(number), true, minute(boot, 11)).unwrap().next
}

#[test]
fn an_update_waits_for_its_window_and_for_the_printer() {
    let boot = boot("this");
    let update = wished(1);
    assert_eq!(update.look(minute(&boot, 9), true), None, "too early");
    assert_eq!(update.look(minute(&boot, 10), false), None, "something is printed");
    assert_eq!(update.look(Now { unix_ms: None, ..minute(&boot, 10) }, true), None, "what time is it?");
    let step = update.look(minute(&boot, 10), true).unwrap();
    assert_eq!((step.told, step.deed), (None, Some(Deed::Ask(order(1)))));
    assert_eq!(step.next.look(minute(&boot, 10), true), None, "once");
    assert_eq!(step.next.held_for(minute(&boot, 10)), None, "jobs start while a package is fetched");
    let late = update.look(minute(&boot, 21), true).unwrap();
    assert_eq!((late.told, late.deed), (Some((order(1), UpdateWord::Expired)), None));
    assert_eq!(late.next, Update::default());
}

#[test]
fn an_updater_is_let_in_for_a_while_and_gives_its_word_once() {
    let boot = boot("this");
    let step = asked(1, &boot).let_in(id(1), true, minute(&boot, 11)).unwrap();
    assert_eq!(step.told, Some((order(1), UpdateWord::Installing)));
    let update = step.next;
    assert_eq!(update.held_for(minute(&boot, 12)), Some(HOLD - Duration::from_secs(60)));
    assert_eq!(update.held_for(minute(&boot, 26)), None, "an updater that died holds nobody up for ever");
    let again = update.let_in(id(1), true, minute(&boot, 30)).unwrap();
    assert_eq!((again.told, again.next.held_for(minute(&boot, 31)).is_some()), (None, true));
    assert_eq!(update.judged(id(2), UpdateWord::Installed), None, "the word on another one");
    let over = update.judged(id(1), UpdateWord::RolledBack).unwrap();
    assert_eq!(over.told, Some((order(1), UpdateWord::RolledBack)));
    assert_eq!((over.deed, over.next.held_for(minute(&boot, 12))), (Some(Deed::Withdraw), None));
    assert_eq!(over.next.judged(id(1), UpdateWord::RolledBack), None, "once");
}

#[test]
fn a_process_and_a_boot_go_on_with_what_was_begun() {
    let (this, next) = (boot("this"), boot("next"));
    let (update, deed) = asked(1, &this).restored(minute(&this, 10));
    assert_eq!(deed, Some(Deed::Ask(order(1))), "nobody knows whether it was asked");
    assert!(update.is_asked());
    let text = serde_json::to_string(&installing(1, &this)).unwrap();
    let kept: Update = serde_json::from_str(&text).unwrap();
    let (same, deed) = kept.clone().restored(minute(&this, 12));
    assert_eq!((deed, same.held_for(minute(&this, 12))), (None, Some(HOLD - Duration::from_secs(60))));
    let (booted, _) = kept.restored(minute(&next, 1));
    assert_eq!(booted.held_for(minute(&next, 1)), Some(HOLD), "the updater begins anew as well");
}

#[test]
fn a_wish_gives_way_to_a_later_one_until_it_is_installed() {
    let boot = boot("this");
    assert_eq!(wished(1).wish(order(1), Some(NOON_MS)), Ok(None), "the same once more");
    let step = wished(1).wish(order(2), Some(NOON_MS)).unwrap().unwrap();
    assert_eq!((step.told, step.deed), (Some((order(1), UpdateWord::Cancelled)), None));
    let step = asked(1, &boot).wish(order(2), Some(NOON_MS)).unwrap().unwrap();
    assert_eq!(step.deed, Some(Deed::Withdraw));
    let late = step.next.let_in(id(1), true, minute(&boot, 12));
    assert_eq!(late, Err(Unfit::Withdrawn), "an updater that has taken it already");
    assert_eq!(installing(1, &boot).wish(order(2), Some(NOON_MS)), Err(Unfit::UnderWay));
    assert_eq!(installing(1, &boot).cancel(), Err(Unfit::UnderWay));
    assert_eq!(Update::default().cancel(), Err(Unfit::Nothing));
    assert_eq!(asked(1, &boot).cancel().unwrap().told, Some((order(1), UpdateWord::Cancelled)));
}

#[test]
fn what_cannot_be_done_is_refused_at_once() {
    for version in ["", "a", "0.2.0 -1", "0.2/1", "--help", "1;reboot", &"1".repeat(65)] {
        let wrong = Order { version: Some(version.to_owned()), ..order(1) };
        assert_eq!(Update::default().wish(wrong, None), Err(Unfit::Version), "{version:?}");
    }
    for version in ["0.2.0-1", "1:2~rc1+b2"] {
        assert!(is_version(version));
    }
    let wrong = Order { not_before: Some(NOON_MS), not_after: NOON_MS, ..order(1) };
    assert_eq!(Update::default().wish(wrong, None), Err(Unfit::Window));
    assert_eq!(Update::default().wish(order(1), Some(order(1).not_after)), Err(Unfit::Window));
}

#[test]
fn an_updater_that_finds_another_agent_at_work_is_asked_anew_later() {
    let boot = boot("this");
    let step = installing(1, &boot).let_out(id(1), true, minute(&boot, 12));
    assert_eq!(step.next.held_for(minute(&boot, 12)), None);
    assert_eq!(step.next.look(minute(&boot, 13), true), None, "not at once");
    assert_eq!(step.next.asked_again_in(minute(&boot, 13).at), Some(Duration::from_secs(4 * 60)));
    assert_eq!(step.next.asked_again_in(minute(&boot, 17).at), None);
    assert!(matches!(step.next.look(minute(&boot, 17), true).unwrap().deed, Some(Deed::Ask(_))));
    let leaves = installing(1, &boot).let_out(id(1), false, minute(&boot, 12)).next;
    assert!(
        leaves.is_asked() && leaves.held_for(minute(&boot, 12)).is_none(),
        "its word is still waited for"
    );
    let foreign = wished(1).let_in(id(9), false, minute(&boot, 1)).unwrap();
    assert_eq!(foreign.told, None);
    assert!(foreign.next.held_for(minute(&boot, 2)).is_some(), "the package is that of all agents");
    let out = foreign.next.let_out(id(9), true, minute(&boot, 3)).next;
    assert_eq!(out, wished(1), "its own wish stays");
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let boot = boot("this");
    let update = asked(1, &boot);
    assert_eq!(update.look(minute(&boot, 80), true), None);
    let step = update.look(minute(&boot, 81), true).unwrap();
    assert_eq!((step.told, step.deed), (Some((order(1), UpdateWord::Failed)), Some(Deed::Withdraw)));
}

/// The hold of another agent's update, and this agent's own wish that ends meanwhile.
#[test]
fn a_wish_that_ends_lets_no_job_start_while_another_agents_update_is_installed() {
    let boot = boot("this");
    let held = |update: &Update| update.let_in(id(9), false, minute(&boot, 10)).unwrap().next;
    let is_held = |step: Step| step.next.held_for(minute(&boot, 12)).is_some();
    assert!(is_held(held(&wished(1)).cancel().unwrap()), "taken back");
    let over = Order { not_after: NOON_MS + 11 * MINUTE_MS, ..order(1) };
    let over = Update::default().wish(over, Some(NOON_MS)).unwrap().unwrap().next;
    let expired = held(&over).look(minute(&boot, 12), false).unwrap();
    assert_eq!(expired.told.as_ref().unwrap().1, UpdateWord::Expired);
    assert!(is_held(expired));
    assert!(is_held(held(&wished(1)).wish(order(2), Some(NOON_MS)).unwrap().unwrap()), "a later one");
    // Its own was over before, and the word on it is read only now.
    assert!(is_held(held(&installing(1, &boot)).judged(id(1), UpdateWord::Installed).unwrap()));
    assert!(!is_held(installing(1, &boot).judged(id(1), UpdateWord::Installed).unwrap()));
}

#[test]
fn what_an_updater_that_died_has_held_up_is_not_held_up_after_each_boot() {
    let this = boot("this");
    let left = Update::default().let_in(id(9), false, minute(&this, 10)).unwrap().next;
    assert_eq!(left.look(minute(&this, 20), true), None);
    let step = left.look(minute(&this, 26), true).unwrap();
    assert_eq!((&step.told, &step.deed, &step.next.hold), (&None, &None, &None));
    let next = boot("next");
    let kept: Update = serde_json::from_str(&serde_json::to_string(&step.next).unwrap()).unwrap();
    assert_eq!(kept.restored(minute(&next, 0)).0.held_for(minute(&next, 0)), None);
    // As a version wrote it that did not know whose it is.
    let before = r#"{"order":null,"hold":{"boot":"this","until_ms":900000}}"#;
    let before: Update = serde_json::from_str(before).unwrap();
    assert!(before.held_for(minute(&this, 1)).is_some());
}

#[test]
fn a_clock_that_jumps_and_a_night_without_power_end_no_update_that_goes_on() {
    let (this, next) = (boot("this"), boot("next"));
    let jumped = |boot, minutes| Now { unix_ms: Some(NOON_MS + 600 * MINUTE_MS), ..minute(boot, minutes) };
    let update = installing(1, &this);
    assert_eq!(update.look(jumped(&this, 12), false), None, "the updater was heard a minute ago");
    let silent = update.look(minute(&this, 30), false).unwrap().next;
    assert_eq!(silent.look(jumped(&this, 70), false), None);
    assert_eq!(silent.look(jumped(&this, 71), false).unwrap().told.unwrap().1, UpdateWord::Failed);
    let (booted, _) = silent.restored(minute(&next, 1));
    assert_eq!(
        booted.look(jumped(&next, 60), false),
        None,
        "the updater goes on since a minute after the boot"
    );
    assert_eq!(booted.look(jumped(&next, 61), false).unwrap().told.unwrap().1, UpdateWord::Failed);
    // Back, ahead of the window: it waits for it.
    let early = Now { unix_ms: Some(NOON_MS - 600 * MINUTE_MS), ..minute(&this, 15) };
    assert_eq!(wished(1).look(early, true), None);
    assert_eq!(asked(1, &this).look(early, true), None);
}

/// The request may lie there still: a kill came between what was written down and what was to be done.
#[test]
fn what_is_not_wished_any_more_is_not_asked_for_after_a_kill() {
    let boot = boot("this");
    let taken_back = asked(1, &boot).cancel().unwrap().next;
    assert_eq!(taken_back.restored(minute(&boot, 11)).1, Some(Deed::Withdraw));
    assert_eq!(wished(2).restored(minute(&boot, 11)).1, Some(Deed::Withdraw));
    assert_eq!(installing(1, &boot).restored(minute(&boot, 11)).1, None, "it was taken");
}

/// A machine with its updater and a printer; who dies and when is a matter of the seed.
struct World {
    seed: u64,
    update: Update,
    at: u64,
    boot: BootId,
    boots: u64,
    printing: bool,
    asked: Option<CmdId>,
    inside: Option<CmdId>,
    wished: Vec<CmdId>,
    ended: Vec<CmdId>,
}

impl World {
    fn draw(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn take(&mut self, step: Step) {
        // A kill ahead of the commit: nothing of it has happened.
        if self.draw(8) == 0 {
            return self.restart();
        }
        self.update = step.next;
        if let Some((order, word)) = step.told.filter(|(_, word)| *word != UpdateWord::Installing) {
            assert!(!self.ended.contains(&order.id), "{word} is a second last word");
            self.ended.push(order.id);
        }
        // A kill behind it: what was to be done is not.
        if self.draw(8) == 0 {
            return self.restart();
        }
        self.carry_out(step.deed);
    }

    fn carry_out(&mut self, deed: Option<Deed>) {
        match deed {
            Some(Deed::Ask(order)) => self.asked = Some(order.id),
            Some(Deed::Withdraw) => self.asked = None,
            None => {}
        }
    }

    fn restart(&mut self) {
        if self.draw(3) == 0 {
            self.boots += 1;
            self.boot = boot(&format!("boot-{}", self.boots));
            self.printing = false;
        }
        let kept: Update = serde_json::from_str(&serde_json::to_string(&self.update).unwrap()).unwrap();
        let boot = self.boot.clone();
        let (update, deed) = kept.restored(minute(&boot, self.at));
        self.update = update;
        self.carry_out(deed);
    }

    fn wish(&mut self, number: u8, now: Now<'_>) {
        let (begin, last) = (self.draw(30), self.draw(60) + 31);
        let at = |minutes: u64| NOON_MS + (self.at + minutes) * MINUTE_MS;
        let order = Order { not_before: Some(at(begin)), not_after: at(last), ..order(number) };
        let id = order.id;
        if let Ok(Some(step)) = self.update.wish(order, now.unix_ms) {
            self.take(step);
        }
        if self.update.order().is_some_and(|(current, _)| current.id == id) {
            self.wished.push(id);
        }
    }

    fn live_a_minute(&mut self, number: u8) {
        self.at += 1;
        let boot = self.boot.clone();
        let now = minute(&boot, self.at);
        match self.draw(7) {
            0 if self.wished.len() < 20 => self.wish(number, now),
            // As the desk does: nothing starts while an updater is inside.
            1 => self.printing = !self.printing && self.update.held_for(now).is_none(),
            2 if !self.printing => {
                if let Some(id) = self.asked
                    && let Ok(step) = self.update.let_in(id, true, now)
                {
                    self.take(step);
                    self.inside = Some(id);
                }
            }
            3 => {
                let word = [UpdateWord::Installed, UpdateWord::RolledBack][self.draw(2) as usize].clone();
                if let Some(id) = self.inside.take()
                    && let Some(step) = self.update.judged(id, word)
                {
                    self.take(step);
                }
            }
            4 => self.restart(),
            _ => {
                if let Some(step) = self.update.look(now, !self.printing) {
                    self.take(step);
                }
            }
        }
        let now = Now { boot: &self.boot, ..now };
        assert!(!self.printing || self.update.held_for(now).is_none(), "a print while it is installed");
    }
}

#[test]
fn every_wish_has_one_last_word_and_nothing_is_printed_meanwhile() {
    let mut last_words = 0;
    for seed in 0..2_000 {
        let mut world = World {
            seed,
            update: Update::default(),
            at: 0,
            boot: boot("boot-0"),
            boots: 0,
            printing: false,
            asked: None,
            inside: None,
            wished: Vec::new(),
            ended: Vec::new(),
        };
        for number in 0..200 {
            world.live_a_minute(number);
        }
        // Whatever was under way then, its time runs out; a kill on the way gives it time anew.
        for _ in 0..20 {
            world.at += 10_000;
            while let Some(step) = world.update.look(minute(&boot("later"), world.at), false) {
                world.take(step);
            }
        }
        let (mut wished, mut ended) = (world.wished, world.ended);
        wished.sort_unstable();
        ended.sort_unstable();
        last_words += ended.len();
        assert_eq!(wished, ended, "seed {seed}");
    }
    assert!(last_words > 10_000, "{last_words}");
}
