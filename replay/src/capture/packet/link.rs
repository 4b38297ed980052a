//! Packets -> TCP segments: link types, VLAN tags, IPv4 and IPv6.

use std::net::IpAddr;

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// A link type (tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// 1.
    Ethernet,
    /// 12, 14, 101, 228, 229: IP without more.
    Raw,
    /// 113: Linux cooked.
    Sll,
    /// 276: Linux cooked, version 2.
    Sll2,
    /// 0 and 108: four bytes of address family, in the byte order of whoever captured.
    Null,
    /// Any other.
    Unknown,
}

/// One end of a connection.
pub(super) type End = (IpAddr, u16);

/// A TCP segment.
#[derive(Debug, PartialEq)]
pub(super) struct Segment<'a> {
    pub(super) from: End,
    pub(super) to: End,
    pub(super) sequence: u32,
    pub(super) acknowledgment: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: &'a [u8],
}

impl Link {
    pub(super) fn of(number: u32) -> Self {
        match number {
            0 | 108 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            113 => Self::Sll,
            276 => Self::Sll2,
            _ => Self::Unknown,
        }
    }

    /// The TCP segment in a packet, if there is one that is whole as far as it was captured.
    pub(super) fn segment(self, bytes: &[u8]) -> Option<Segment<'_>> {
        let ether_type = |at: usize| {
            let number: [u8; 2] = bytes.get(at..)?.first_chunk().copied()?;
            Some(EtherType(u16::from_be_bytes(number)))
        };
        let packet = match self {
            Self::Ethernet => LaxSlicedPacket::from_ethernet(bytes).ok()?,
            Self::Raw => LaxSlicedPacket::from_ip(bytes).ok()?,
            Self::Sll => LaxSlicedPacket::from_ether_type(ether_type(14)?, bytes.get(16..)?),
            Self::Sll2 => LaxSlicedPacket::from_ether_type(ether_type(0)?, bytes.get(20..)?),
            Self::Null => LaxSlicedPacket::from_ip(bytes.get(4..)?).ok()?,
            Self::Unknown => return None,
        };
        of(&packet)
    }
}

fn of<'a>(packet: &LaxSlicedPacket<'a>) -> Option<Segment<'a>> {
    let (from, to): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source().into(), ip.header().destination().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source().into(), ip.header().destination().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    Some(Segment {
        from: (from, tcp.source_port()),
        to: (to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledgment: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
    })
}
