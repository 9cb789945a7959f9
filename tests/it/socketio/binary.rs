//! Packets with attachments: their counts, their placeholders, and packets that interrupt them.

use serde_json::json;

use super::{
    assert_quiet, connect_namespace, dial, is_closed, is_ended, join, join_over_polling, packets,
    send_with, start_without_pings, whole, with_attachments,
};

const ZERO: &str = r#"{"_placeholder":true,"num":0}"#;
const ONE: &str = r#"{"_placeholder":true,"num":1}"#;

/// A placeholder with arbitrary JSON as its index.
fn placeholder(index: &str) -> String {
    ZERO.replace('0', index)
}

#[test]
fn placeholders_stand_at_any_depth_and_in_any_order() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    let bytes: [&[u8]; 3] = [b"zero", b"", &[0, 255, 0x1e]];
    for arguments in [
        format!("{ZERO},{ONE},{}", placeholder("2")),
        format!("{},{ONE},{ZERO}", placeholder("2")),
        format!("1,[[[{{\"a\":[{ONE},{{\"b\":{ZERO}}}]}}]]],\"x\",{}", placeholder("2")),
        format!("{{\"z\":{},\"a\":{ZERO},\"m\":{{\"z\":{ONE}}}}}", placeholder("2")),
        format!("{{\"num\":2,\"_placeholder\":true}},{ZERO},{ONE}"),
        format!("{{ \"_placeholder\" : true , \"num\" : 1 }},{ZERO},{}", placeholder("2")),
        format!("{ZERO},{ONE},{},\"\\\"_placeholder\\\":true\"", placeholder("2")),
    ] {
        let sent = format!("453-[\"message\",{arguments}]");
        let said = whole(&sent, &bytes.map(<[u8]>::to_vec));
        send_with(&mut peer, &sent, &bytes);
        let (text, attachments) = with_attachments(&mut peer);
        assert!(text.starts_with("453-[\"message-back\","), "{text}");
        let received = whole(&text, &attachments);
        assert_eq!(received.as_array().expect("an array")[1..], said.as_array().expect("one")[1..]);
    }
    assert_quiet(&mut peer, "binary messages");
}

#[test]
fn what_only_looks_like_a_placeholder_is_data() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for plain in [
        ZERO.to_owned(),
        placeholder("7"),
        placeholder("\"x\""),
        r#"{"_placeholder":true}"#.to_owned(),
    ] {
        peer.send_text(&format!("42[\"message\",{plain}]"));
        assert_eq!(peer.frame().text(), format!("42[\"message-back\",{plain}]"));
        peer.send_text(&format!("423[\"message-with-ack\",{plain}]"));
        assert_eq!(peer.frame().text(), format!("433[{plain}]"));
    }
    for plain in [
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"_placeholder":1,"num":9}"#,
        r#"{"placeholder":true,"num":9}"#,
        r#""{\"_placeholder\":true,\"num\":9}""#,
        r#"{"num":9}"#,
    ] {
        send_with(&mut peer, &format!("451-[\"message\",{plain},{ZERO}]"), &[b"x"]);
        let (text, attachments) = with_attachments(&mut peer);
        assert_eq!(text, format!("451-[\"message-back\",{plain},{ZERO}]"));
        assert_eq!(attachments, [b"x"]);
    }
}

#[test]
fn an_attachment_may_be_referenced_twice() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    send_with(&mut peer, &format!("451-[\"message\",{ZERO},[{ZERO}]]"), &[b"x"]);
    let (text, attachments) = with_attachments(&mut peer);
    let bytes = json!({"bytes": b"x"});
    assert_eq!(whole(&text, &attachments), json!(["message-back", bytes, [bytes]]));
}

// T34
#[test]
fn at_most_ten_attachments() {
    let game = start_without_pings(&[]);
    let list = |count: usize| {
        let items = (0..count).map(|index| placeholder(&index.to_string()));
        items.collect::<Vec<_>>().join(",")
    };
    let mut peer = join(game.addr);
    for count in 1..=10 {
        let bytes: Vec<Vec<u8>> = (0..count).map(|index| vec![index as u8; index]).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        send_with(&mut peer, &format!("45{count}-[\"message\",{}]", list(count)), &slices);
        let (text, attachments) = with_attachments(&mut peer);
        assert_eq!(text, format!("45{count}-[\"message-back\",{}]", list(count)));
        assert_eq!(attachments, bytes);
    }
    for count in [0, 11, 12, 100] {
        for packet in [
            format!("45{count}-[\"message\",{}]", list(count)),
            format!("46{count}-1[{}]", list(count)),
        ] {
            let mut peer = join(game.addr);
            peer.send_text(&packet);
            is_closed(&mut peer, &packet);
        }
    }
}

#[test]
fn an_index_refers_to_an_attachment() {
    let game = start_without_pings(&[]);
    for index in ["1", "2", "10", "-1", "1e9", "18446744073709551616", "\"0\"", "null", "true"] {
        for packet in [
            format!("451-[\"message\",{}]", placeholder(index)),
            format!("451-[\"message\",{ZERO},[{{\"a\":{}}}]]", placeholder(index)),
            format!("451-1[\"message-with-ack\",{}]", placeholder(index)),
            format!("461-1[{}]", placeholder(index)),
        ] {
            let mut peer = join(game.addr);
            send_with(&mut peer, &packet, &[b"x"]);
            is_closed(&mut peer, &packet);
        }
    }
    let packet = "451-[\"message\",{\"_placeholder\":true}]";
    let mut peer = join(game.addr);
    send_with(&mut peer, packet, &[b"x"]);
    is_closed(&mut peer, packet);
}

#[test]
fn an_index_is_an_integer() {
    let game = start_without_pings(&[]);
    for index in ["0.5", "[0]", "{}"] {
        let packet = format!("451-[\"message\",{}]", placeholder(index));
        let mut peer = join(game.addr);
        send_with(&mut peer, &packet, &[b"x"]);
        is_closed(&mut peer, &packet);
    }
}

#[test]
fn nothing_may_interrupt_attachments() {
    let game = start_without_pings(&[]);
    let two = format!("452-[\"message\",{ZERO},{ONE}]");
    let text = "42[\"message\",1]";
    for between in [text, "41", "40/custom,", two.as_str(), "4abc", "431[]"] {
        for attachments in [&[][..], &[&b"x"[..]]] {
            let mut peer = join(game.addr);
            send_with(&mut peer, &two, attachments);
            peer.send_text(between);
            is_closed(&mut peer, between);
        }
    }
    // Engine.IO heartbeats continue between the attachments.
    let mut peer = join(game.addr);
    send_with(&mut peer, &two, &[b"x"]);
    peer.send_text("3");
    peer.send_frame(0x82, b"y");
    assert_eq!(with_attachments(&mut peer).1, [b"x", b"y"]);
}

#[test]
fn unexpected_binary_closes() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_frame(0x82, b"x");
    is_closed(&mut peer, "bytes before all else");
    for bytes in [&b""[..], b"x", b"42[\"message\",1]"] {
        let mut peer = join(game.addr);
        peer.send_frame(0x82, bytes);
        is_closed(&mut peer, "bytes");
    }
    // The text form of the same, and one attachment too many.
    let mut peer = join(game.addr);
    peer.send_text("bAQID");
    is_closed(&mut peer, "bAQID");
    let mut peer = join(game.addr);
    send_with(&mut peer, &format!("451-[\"message\",{ZERO}]"), &[b"x"]);
    with_attachments(&mut peer);
    peer.send_frame(0x82, b"y");
    is_closed(&mut peer, "one too many");
    let client = join_over_polling(game.addr);
    assert!([200, 400].contains(&client.post("bAQID").status));
    is_ended(&client, "bAQID");
}

#[test]
fn attachments_have_a_total_size_limit() {
    let game = start_without_pings(&["--max-payload", "2000"]);
    let two = format!("452-[\"message\",{ZERO},{ONE}]");
    let mut peer = join(game.addr);
    send_with(&mut peer, &two, &[&[1; 1_000], &[2; 1_000]]);
    assert_eq!(with_attachments(&mut peer).1, [[1; 1_000], [2; 1_000]]);
    send_with(&mut peer, &two, &[&[1; 1_000], &[2; 1_001]]);
    is_closed(&mut peer, "2,001 bytes in all");
    // The server sees it before the last one arrives.
    let ten: Vec<String> = (0..10).map(|index| placeholder(&index.to_string())).collect();
    let mut peer = join(game.addr);
    send_with(&mut peer, &format!("4510-[\"message\",{}]", ten.join(",")), &[&[1; 900][..]; 3]);
    is_closed(&mut peer, "2,700 bytes of ten attachments");
}

// T34
#[test]
fn missing_attachments_close() {
    let game = start_without_pings(&[]);
    let two = format!("452-[\"message\",{ZERO},{ONE}]");
    let mut peer = join(game.addr);
    send_with(&mut peer, &two, &[b"x"]);
    let client = join_over_polling(game.addr);
    assert_eq!(client.post(&format!("{two}\x1ebAQID")).status, 200);
    let mut waiting = client.begin_poll();
    is_closed(&mut peer, "a packet that is not whole in time");
    assert_eq!(waiting.answer(true).text(), "1");
    client.is_gone();
}

#[test]
fn attachments_work_over_polling() {
    let game = start_without_pings(&[]);
    let client = join_over_polling(game.addr);
    client.post(&format!("452-[\"message\",{ZERO},{ONE}]\x1ebAQID\x1ebBA=="));
    let back = format!("452-[\"message-back\",{ZERO},{ONE}]");
    assert_eq!(packets(&client, 3), [&back, "bAQID", "bBA=="]);
    // Some clients post each attachment separately, add line breaks, or omit the padding.
    client.post(&format!("452-[\"message\",{ZERO},{ONE}]"));
    client.post("bAQ\nID\n");
    client.post("bBA\x1e42[\"message\",1]");
    let after = "42[\"message-back\",1]";
    assert_eq!(packets(&client, 4), [&back, "bAQID", "bBA==", after]);
    client.post(&format!("451-9[\"message-with-ack\",{ZERO}]\x1eb"));
    assert_eq!(packets(&client, 2), [&format!("461-9[{ZERO}]"), "b"]);
}

#[test]
fn packets_with_attachments_do_not_mix() {
    let game = start_without_pings(&["--ping-interval-ms", "50"]);
    let mut peer = join_past_pings(game.addr);
    for number in 0..200_u32 {
        let text = format!("452-{number}[\"message-with-ack\",{ZERO},{number},{ONE}]");
        send_with(&mut peer, &text, &[&number.to_be_bytes(), &[7; 300]]);
        peer.send_text(&format!("42[\"message\",{number}]"));
    }
    for number in 0..200_u32 {
        let (text, attachments) = loop {
            let (text, attachments) = with_attachments(&mut peer);
            if text != "2" {
                break (text, attachments);
            }
            peer.send_text("3");
        };
        assert_eq!(text, format!("462-{number}[{ZERO},{number},{ONE}]"));
        assert_eq!(attachments, [&number.to_be_bytes()[..], &[7; 300]]);
        let frame = peer.until_text(&["message-back"]);
        assert_eq!(frame, format!("42[\"message-back\",{number}]"));
    }
}

/// Joins the main namespace, skipping pings in between.
fn join_past_pings(addr: std::net::SocketAddr) -> crate::harness::Peer {
    let mut peer = dial(addr);
    peer.send_text("40");
    peer.until_text(&["42[\"auth\",{}]"]);
    peer
}

#[test]
fn a_packet_with_attachments_goes_to_its_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    connect_namespace(&mut peer, "/custom,");
    send_with(&mut peer, &format!("451-/custom,[\"message\",{ZERO}]"), &[b"x"]);
    send_with(&mut peer, &format!("451-/custom,5[\"unknown\",{ZERO}]"), &[b"x"]);
    assert_quiet(&mut peer, "an event that /custom does not know");
    send_with(&mut peer, &format!("451-/,7[\"message-with-ack\",{ZERO}]"), &[b"x"]);
    let (text, attachments) = with_attachments(&mut peer);
    assert_eq!((text, attachments), (format!("461-7[{ZERO}]"), vec![b"x".to_vec()]));
    let other = format!("451-/unknown,[\"message\",{ZERO}]");
    send_with(&mut peer, &other, &[b"x"]);
    is_closed(&mut peer, &other);
}
