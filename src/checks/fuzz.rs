//! What servers answer to checks, without a server.

use super::agent::answer;
use super::mysql::packet::Packet;
use super::{ldap, redis, smtp, tls_hello};
use crate::checks::conversation::Parsed;

/// Reads `data` as every kind of answer.
pub fn answers(data: &[u8]) {
    within(data, &redis::parse(data));
    within(data, &smtp::parse(data));
    within(data, &ldap::parse(data));
    within(data, &tls_hello::parse(data));
    within(data, &answer::line(data));
    let packet = Packet::parse(data);
    if let Parsed::Done(packet, _) = &packet {
        let _ = packet.greeting();
        let _ = packet.reply();
        let _ = packet.column_count();
        let _ = packet.first_column();
        packet.is_end_marker();
    }
    within(data, &packet);
}

/// No answer can be longer than what was received.
fn within<T>(data: &[u8], parsed: &Parsed<T>) {
    if let Parsed::Done(_, taken) = parsed {
        assert!(*taken <= data.len(), "{taken} of {} bytes", data.len());
    }
}
