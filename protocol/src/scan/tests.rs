//! Both readers of a head agree, and the quick one ends where JSON ends.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Fields as they may stand in a head, most of them usual.
const FIELDS: [&str; 18] = [
    r#""to":"b:farm""#,
    r#""key":"p1""#,
    r#""lane":"urgent""#,
    r#""ttl_ms":60000"#,
    r#""age_ms":0"#,
    r#""id":"é""#,
    r#""from":"a:x""#,
    r#""re":"f1""#,
    r#""ts":{"b":"x","m":[1,-2.5e3]}"#,
    r#""ts":null"#,
    r#""t":"y""#,
    r#""v":1"#,
    r#""new":[true]"#,
    r#""ttl_ms":007"#,
    r#""id":"\n""#,
    r#" "to":"b:y""#,
    r#""ttl_ms":-1"#,
    r#""body":{}"#,
];

/// Values as they may stand in a body.
const LEAVES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "12.50",
    "-1e9",
    "2E+7",
    "1e",
    "-",
    r#""""#,
    r#""x\"y""#,
    r#""\ud800""#,
    r#""\u00e9é""#,
    r#""\q""#,
    r#""nul""#,
    "[]",
    "{}",
    "[ 1 ]",
    "18446744073709551616",
];

fn json() -> impl Strategy<Value = String> {
    select(LEAVES).prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let list = proptest::collection::vec(inner, 0..4);
        (any::<bool>(), list).prop_map(|(is_list, values)| {
            if is_list {
                return format!("[{}]", values.join(","));
            }
            let fields: Vec<_> =
                values.iter().enumerate().map(|(n, value)| format!("\"k{n}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is read here, the reader of any JSON reads the same.
    #[test]
    fn both_readers_agree(
        fields in proptest::collection::vec(select(&FIELDS[..]), 0..5),
        body in json(),
        damage in proptest::option::of((any::<Index>(), select(&b"{}[]\",:\\01.-e ntu\n"[..]))),
    ) {
        let fields: String = fields.iter().map(|field| format!(",{field}")).collect();
        let mut frame = format!(r#"{{"v":1,"t":"telem"{fields},"body":{body}}}"#);
        if let Some((at, byte)) = damage {
            let at = at.index(frame.len());
            if frame.is_char_boundary(at) && frame.is_char_boundary(at + 1) {
                frame.replace_range(at..=at, &char::from(byte).to_string());
            }
        }
        if let Some(route) = usual(&frame) {
            let any = Route::parse_any(&frame);
            prop_assert!(any.is_ok(), "{frame}: {any:?}");
            prop_assert_eq!(format!("{route:?}"), format!("{:?}", any?));
        }
    }
}

#[test]
fn runs_end_at_each_byte_that_ends_them_wherever_it_stands() {
    for end in 0..=u8::MAX {
        for (before, behind) in (0..20).flat_map(|before| [(before, 0), (before, 11)]) {
            let bytes = [&vec![0xc3; before][..], &[end], &vec![b'"'; behind][..]].concat();
            let is_end = end < 0x20 || end == b'"' || end == b'\\';
            assert_eq!(run(&bytes), if is_end { before } else { before + 1 }, "{bytes:02x?}");
        }
    }
}

#[test]
fn what_programs_write_is_usual() {
    let stamp = r#"{"w":1760000000123,"m":812345,"b":"6f1c2a04-55d1-4a7e-9a1b-3f0c8d2e7b11","c":"ntp"}"#;
    let head = r#""to":"b:farm","key":"p1","lane":"urgent","ttl_ms":60000,"age_ms":5,"id":"m1","from":"b:x","re":"f1""#;
    let whole = format!(r#"{{"v":1,"t":"telem",{head},"ts":{stamp},"body":{{"a":[1,2.5,"\u00e9"]}}}}"#);
    let whole = whole.as_str();
    let route = usual(whole).unwrap();
    assert_eq!(format!("{route:?}"), format!("{:?}", Route::parse_any(whole).unwrap()));
    assert_eq!((route.ttl_ms, route.age_ms, route.ts), (Some(60_000), Some(5), Some(stamp)));
    let encoded = crate::Envelope::parse(whole).unwrap().encode();
    assert!(usual(&encoded).is_some(), "{encoded}");
}

#[test]
fn a_frame_of_this_version_begins_as_it_is_written() {
    assert!(crate::Envelope::parse(r#"{"v":1,"t":"hb","body":{}}"#).unwrap().encode().starts_with(BEGINNING));
    assert!(BEGINNING.contains(&format!(r#""v":{},"#, crate::version::V)));
}

#[test]
fn what_is_not_usual_is_left_alone() {
    for frame in [
        r#"{ "v":1,"t":"x","body":1}"#,
        r#"{"v":1,"t":"x","body":1,"to":"b:x"}"#,
        r#"{"v":1,"t":"x","to":"b:x","to":"b:y","body":1}"#,
        r#"{"v":1,"t":"x","new":1,"body":1}"#,
        r#"{"v":1,"t":"\u0078","body":1}"#,
        r#"{"v":1,"t":"x","ttl_ms":01,"body":1}"#,
        r#"{"v":1,"t":"x","ttl_ms":1.0,"body":1}"#,
        r#"{"v":1,"t":"x","body":1} "#,
        r#"{"v":1,"t":"x","body":1"#,
        r#"{"v":1,"t":"x"}"#,
        r#"{"v":2,"t":"x","body":1}"#,
        // The sender would stand behind the body, where another reader finds it last.
        r#"{"v":1,"t":"x","body":{},"from":"a:x"}"#,
    ] {
        assert!(usual(frame).is_none(), "{frame}");
    }
    let deep =
        |depth: usize| format!(r#"{{"v":1,"t":"x","body":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(usual(&deep(64)).is_some() && usual(&deep(66)).is_none());
}

#[test]
fn bodies_end_where_json_ends() {
    for body in [
        r"null",
        r"true",
        r"false",
        r"0",
        r"-0",
        r"-1.5e+30",
        r"1E5",
        r#""""#,
        r#""\"\\\/\b\f\n\r\tA""#,
        r"[]",
        r"{}",
        r#"[[],{},[1,"a",{"b":[null]}]]"#,
        r#"{"a":{"b":{}},"c":[]}"#,
        r#"" é 語 ""#,
    ] {
        let frame = format!(r#"{{"v":1,"t":"x","body":{body}}}"#);
        assert_eq!(usual(&frame).unwrap().body, body);
    }
    for body in [
        "",
        "nul",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "[1,]",
        "[1",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r"{1:2}",
        r#""\x""#,
        r#""\u12g4""#,
        "\"\n\"",
        "[}",
        r#"{"a":1]"#,
        "1 ",
        "[ ]",
        "NaN",
    ] {
        let frame = format!(r#"{{"v":1,"t":"x","body":{body}}}"#);
        assert!(usual(&frame).is_none(), "{body}");
    }
}
