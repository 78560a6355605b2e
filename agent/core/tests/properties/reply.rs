//! Whatever bytes a printer sends, in every dialect: the same replies in pieces of any size, within bounds, and no
//! acknowledgement but what is one.

use proptest::prelude::*;
use spoolway_agent_core::reply::{Reply, ReplyParser};
use spoolway_firmware_profiles::{Profile, Registry};

use crate::{cut, lines, pieces};

/// Longest text of a reply, in bytes of the printer; a byte that is no text is told with three.
const TEXT_BYTES_MAX: usize = 512 * 3;

fn read(profile: &Profile, pieces: &[&[u8]]) -> Vec<Reply> {
    let mut parser = ReplyParser::new(profile.replies.clone());
    let mut found = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Some(reply) = parser.next(&mut piece) {
            found.push(reply);
        }
        assert!(piece.is_empty(), "it takes everything");
    }
    found
}

fn profiles() -> Vec<Profile> {
    Registry::built_in().iter().map(|known| known.profile.clone()).collect()
}

/// The forms of an acknowledgement that firmwares are known for.
fn ok() -> impl Strategy<Value = String> {
    let body = prop_oneof![
        Just(String::new()),
        " N[0-9]{1,9} P[0-9]{1,2} B[0-9]{1,2}",
        " P[0-9]{1,2} B[0-9]{1,2}",
        " [0-9]{1,9}",
        " N[0-9]{1,6} P15 B3 T:[0-9]{1,3}\\.[0-9]/ 0\\.00 B:[0-9]{1,3}\\.[0-9]/ 0\\.00 @:64",
        report().prop_map(|report| format!(" {}", report.trim_start())),
        Just(" - Invalid G53".to_owned()),
        Just(" Emergency Stop Requested - reset or M999 required".to_owned()),
    ];
    ("[oO][kK]", body, " ?").prop_map(|(ok, body, end)| format!("{ok}{body}{end}"))
}

/// Temperatures that come by themselves.
fn report() -> impl Strategy<Value = String> {
    prop_oneof![
        " T:[0-9]{1,3}\\.[0-9]{2} /[0-9]{1,3}\\.[0-9]{2} B:[0-9]{1,2}\\.[0-9]{2} /[0-9]{1,2}\\.[0-9]{2} @:[0-9]{1,3} B@:0",
        " T:[0-9]{1,3}\\.[0-9]{2} /[0-9]{1,3}\\.[0-9]{2} B:19\\.37 /0\\.00 @:127 B@:0 W:(\\?|[0-9])",
        "T:[0-9]{1,3}\\.[0-9]/[0-9]{1,3}\\.[0-9] B:[0-9]{1,3}\\.[0-9]/0\\.0",
        "T:[0-9]{1,3}\\.[0-9]{2} E:[0-3] B:[0-9]{1,3}\\.[0-9]",
        "T0:[0-9]{1,3} /[0-9]{1,3} T1:(nan|inf|-15) /0 B:[0-9]{1,2} /[0-9]{1,2}",
        "T:22\\.0 /0\\.0 @0 B:[0-9]{1,2}\\.[0-9] /0\\.0 @0",
    ]
}

/// What else comes by itself while lines are on their way.
fn chatter() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("wait".to_owned()),
        "(echo:)?busy: ?(processing|paused for user|heating)",
        "//[ ]?action:(paused|resumed|notification [a-z ]{0,9}|prompt_show)",
        "echo:[a-z ]{0,20}",
        "X:[0-9]\\.00 Y:[0-9]\\.00 Z:0\\.00 E:0\\.00 Count X:[0-9] Y:0 Z:0",
        "<(Idle|Run|Hold:0)\\|MPos:[0-9]\\.000,0\\.000,0\\.000\\|FS:0,0>",
        "Cap:[A-Z_]{3,20}:[01]",
        "Target(Extr0|Bed):[0-9]{1,3}",
        "Not SD printing",
    ]
}

/// Everything that was ever seen, and rubbish.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let refusal = "(Error:(checksum mismatch|expected line 4 got 5), Last Line: [0-9]{1,4}|Resend: ?N?:?[0-9]{1,9}|rs N?[0-9]{1,4}|skip [0-9]{1,4})";
    let other = "(start|fatal: heater|Error:Printer halted. kill\\(\\) called!|!! shutdown|error:[0-9]{1,2}|ALARM:[0-9])";
    let line = prop_oneof![
        6 => ok().prop_map(String::into_bytes),
        4 => report().prop_map(String::into_bytes),
        4 => chatter().prop_map(String::into_bytes),
        4 => refusal.prop_map(String::into_bytes),
        2 => other.prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 500..1100),
    ];
    lines(line)
}

fn text(reply: &Reply) -> &str {
    match reply {
        Reply::Fatal(text) | Reply::Error { text, .. } | Reply::Action(text) | Reply::Other(text) => text,
        _ => "",
    }
}

/// Whether a line that waits for its reply would be taken off the list.
fn acknowledges(reply: &Reply) -> bool {
    matches!(reply, Reply::Ok(_) | Reply::Error { acknowledges: true, .. })
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn pieces_change_nothing_and_texts_are_bounded((bytes, cuts) in cut(said())) {
        for profile in profiles() {
            let whole = read(&profile, &[&bytes]);
            prop_assert_eq!(&read(&profile, &pieces(&bytes, &cuts)), &whole, "{}", profile.id);
            prop_assert!(whole.iter().all(|reply| text(reply).len() <= TEXT_BYTES_MAX), "{}", profile.id);
            let ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
            prop_assert!(whole.len() <= ends, "{}: no line is two replies", profile.id);
        }
    }

    #[test]
    fn every_form_of_ok_is_one(ok in ok(), lead in "[ ]?", end in "(\n|\r\n|\r)") {
        let line = format!("{lead}{ok}{end}");
        for profile in profiles() {
            let found = read(&profile, &[line.as_bytes()]);
            prop_assert!(matches!(found.as_slice(), [Reply::Ok(_)]), "{}: {:?} is {:?}", profile.id, line, found);
        }
    }

    #[test]
    fn what_comes_by_itself_is_no_ok(line in prop_oneof![report(), chatter()]) {
        for profile in profiles() {
            let found = read(&profile, &[format!("{line}\n").as_bytes()]);
            prop_assert!(!found.iter().any(acknowledges), "{}: {:?} is {:?}", profile.id, line, found);
        }
    }

    #[test]
    fn a_line_without_end_leaves_nothing_behind(byte in "[ -~]", times in 1..40_usize) {
        let flood = byte.repeat(4096);
        for profile in profiles() {
            let mut pieces = vec![flood.as_bytes(); times];
            pieces.push(b"\nok\n");
            let found = read(&profile, &pieces);
            prop_assert!(matches!(found.last(), Some(Reply::Ok(_))), "{}: {:?}", profile.id, found.last());
            prop_assert!(found.len() <= 2 && found.iter().all(|reply| text(reply).len() <= TEXT_BYTES_MAX));
        }
    }
}
