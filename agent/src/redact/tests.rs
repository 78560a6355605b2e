use proptest::prelude::*;

use super::*;

#[test]
fn what_looks_like_a_secret_goes() {
    let key = "mF3xQ9aB7cD1eF5gH2iJ6kL0mN4oP8qR";
    for (text, left) in [
        ("via http://anna:pa55@proxy:3128/ now", "via http://[redacted]@proxy:3128/ now"),
        ("via http://anna@proxy", "via http://[redacted]@proxy"),
        ("http://u:p/w@proxy:1", "http://[redacted]@proxy:1"),
        ("https://files/x.gcode?sig=abc&e=1 end", "https://files/x.gcode?[redacted] end"),
        ("\"https://files/x?s=1\",", "\"https://files/x?[redacted]\","),
        ("token=abc next=1", "token=[redacted] next=1"),
        ("enrol_token = \"abc def\" # x", "enrol_token = \"[redacted]\" # x"),
        ("{\"api_key\":\"abc\",\"n\":1}", "{\"api_key\":\"[redacted]\",\"n\":1}"),
        ("{\\\"secret\\\":\\\"abc\\\",1}", "{\\\"secret\\\":\\\"[redacted]\\\",1}"),
        ("Authorization: Bearer abc.def rest", "Authorization: [redacted] rest"),
        ("proxy-authorization: Basic YTpi", "proxy-authorization: [redacted]"),
        ("code K7QX-M4TD shown", "code [redacted] shown"),
        ("\"text\":\"N7 M117 Anna\'s vase*55\"", "\"text\":\"N7 M117 [text]*55\""),
        ("> M23 ANNA.GCO", "> M23 [text]"),
        ("of anna@school.example now", "of [mail] now"),
    ] {
        assert_eq!(Redactor::default().text(text), left);
    }
    for around in [key.to_owned(), format!("key {key}."), format!("x={key}="), format!("({key})")] {
        let left = Redactor::default().text(&around);
        assert!(left.contains(GONE) && !left.contains(key), "{left}");
    }
    let pem = "a\n-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nb\n";
    assert_eq!(Redactor::default().text(pem), "a\n[redacted]\nb\n");
    let cut = "-----BEGIN EC PRIVATE KEY-----\nabc\n";
    assert_eq!(Redactor::default().text(cut), "[redacted]\n", "one without an end goes to the end");
}

#[test]
fn what_is_needed_stays() {
    for text in [
        "N1234 G1 X41.2 Y9.9 E0.031*87",
        "2026-11-29T19:18:49.123Z warn print interrupted job=01934b7e-7b1a-7cc0-8000-0123456789ab line=7",
        "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "agent=7Q2M9X4K1D8F3H6J5N0P2R4T6V relay=wss://relay.example.org:443/agent/v1",
        "port=/dev/serial/by-id/usb-Prusa_Research__prusa3d.com__Original_Prusa_i3_MK3_CZPX1234X004XC12345-if00",
        "relay.proxy_password_file = \"/etc/spoolway/proxy\"",
        "T:210.0 /210.0 B:60.0 /60.0 @:127 B@:0",
        "2025-2026 ok",
    ] {
        assert_eq!(Redactor::default().text(text), text);
    }
}

#[test]
fn names_go_in_every_spelling_and_the_longest_first() {
    let mut redactor = Redactor::default();
    for name in ["Anna", "Anna's \"vase\".gcode", "ab"] {
        redactor.name(name);
    }
    redactor.secret("hunter2");
    let text = "Anna's \\\"vase\\\".gcode and Anna's \"vase\".gcode of Anna, ab, hunter2";
    assert_eq!(redactor.text(text), "[name] and [name] of [name], ab, [redacted]");
}

proptest! {
    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}") {
        let once = Redactor::default().text(&text);
        prop_assert!(once.len() <= text.len() * 12 + 16);
    }

    #[test]
    fn a_password_in_an_address_never_stays(user in "[a-z]{1,8}", password in "[a-zA-Z0-9!$&*+,;=._~-]{4,20}") {
        let text = format!("proxy=http://{user}:{password}@proxy.example:3128 failed");
        let left = Redactor::default().text(&text);
        prop_assert_eq!(left, "proxy=http://[redacted]@proxy.example:3128 failed");
    }
}
