//! Tests of what peers share.

use super::*;

#[test]
fn each_class_has_the_bounds_that_the_operator_has_set() {
    let limits = config::Limits {
        mailbox_frames: 1,
        mailbox_bytes: 2,
        bulk_frames: 3,
        telemetry_slots: 4,
        telemetry_bytes: 5,
        log_frames: 6,
        log_bytes: 7,
        ..Config::default().limits
    };
    let bounds = bounds_of(&limits);
    let of = |class: Class| (bounds[class as usize].frames, bounds[class as usize].bytes);
    assert_eq!(Class::ALL.map(of), [(1, 2), (3, usize::MAX), (4, 5), (6, 7)]);
}
