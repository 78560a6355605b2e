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

#[test]
fn everyday_names_break_no_word_and_no_number() {
    let mut redactor = Redactor::default();
    for name in ["100.gcode", "print.gcode", "spoolway-agent", "line.gcode", "part.gcode", "vase.gcode"] {
        redactor.file(name);
    }
    for text in [
        "     1.000 > N5 G1 X100.898 E100*87",
        "baud = 115200, 100 lines, line=100",
        "the print of this part: spoolway-agent 0.1.0",
    ] {
        assert_eq!(redactor.text(text), text);
    }
    for (text, left) in [
        ("/srv/parts/part.gcode and \"100.gcode\" of vase", "/srv/parts/[name] and \"[name]\" of [name]"),
        ("vase.gcode.", "[name]."),
        ("vase.stl", "[name].stl"),
    ] {
        assert_eq!(redactor.text(text), left);
    }
}

#[test]
fn json_stays_json_and_its_keys_and_numbers_what_they_are() {
    let mut redactor = Redactor::default();
    ["bracket.gcode", "250000.gcode", "Anna's \"vase\".gcode"].iter().for_each(|name| redactor.file(name));
    redactor.secret("hunter2");
    let value = json!({
        "bracket": 1, "baud": 250_000, "name": "bracket.gcode", "parts": ["of bracket", {"text": "Anna's \"vase\""}],
        "token": "abc", "api_key": {"deep": "abc"}, "nonce": 77, "secret": null, "private": false, "psk": "",
        "text": "token=abc of hunter2", "hunter2": true,
    });
    let left = json!({
        "bracket": 1, "baud": 250_000, "name": "[name]", "parts": ["of [name]", {"text": "[name]"}],
        "token": "[redacted]", "api_key": "[redacted]", "nonce": "[redacted]", "secret": null, "private": false, "psk": "",
        "text": "token=[redacted] of [redacted]", "[redacted]": true,
    });
    let document = redactor.json(&value.to_string());
    assert_eq!(serde_json::from_str::<Value>(&document).unwrap(), left);
    assert_eq!(redactor.json("no document: token=abc"), "no document: token=[redacted]");
    let lines = redactor.json_lines(&format!("{value}\nno document of bracket\n{value}\n"));
    assert_eq!(lines, format!("{left}\nno document of [name]\n{left}\n"));
}

#[test]
fn a_key_that_is_logged_line_by_line_goes_with_all_its_lines() {
    let line = |text: &str| format!("{}\n", json!({ "message": text, "n": 1 }));
    let lines = ["a", "-----BEGIN PRIVATE KEY-----", "abc", "-----END PRIVATE KEY-----", "b"].map(line);
    let left = ["a", "[redacted]\n", "", "", "b"].map(line);
    assert_eq!(Redactor::default().json_lines(&lines.concat()), left.concat());
}

#[test]
fn what_is_secret_goes_within_words_though_it_is_a_name_as_well() {
    let mut redactor = Redactor::default();
    redactor.name("hunter2");
    redactor.secret("hunter2");
    redactor.name("hunter2");
    assert_eq!(redactor.text("xhunter2x"), "x[redacted]x");
}

proptest! {
    /// Whatever a file is called, a document stays one, with the same keys and numbers.
    #[test]
    fn no_name_breaks_a_document(name in "[a-z0-9._ -]{1,12}", number in any::<u32>(), text in "[a-z0-9._ -]{0,30}") {
        let mut redactor = Redactor::default();
        redactor.file(&name);
        redactor.file(&format!("{name}.gcode"));
        let document = json!({ "baud": number, "port": text, "lines": [{ "text": text, "at_ms": number }] }).to_string();
        let left: Value = serde_json::from_str(&redactor.json(&document)).unwrap();
        prop_assert_eq!(&left["baud"], &json!(number));
        prop_assert_eq!(&left["lines"][0]["at_ms"], &json!(number));
    }

    #[test]
    fn no_name_breaks_a_line_of_the_wire(name in "[A-Z0-9.]{1,6}", x in 0..400_u32, line in 1..100_000_u32) {
        let mut redactor = Redactor::default();
        redactor.file(&name);
        redactor.file(&format!("{name}.gcode"));
        let text = format!("{:10.3} > N{line} G1 X{x}.898 Y-{x} E0.03*{}", f64::from(line) / 7.0, x % 256);
        prop_assert_eq!(redactor.text(&text), text);
    }

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
