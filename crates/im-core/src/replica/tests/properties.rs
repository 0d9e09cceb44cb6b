//! Whatever happens on the way, every device ends with what the server has.

use std::collections::BTreeMap;

use convene_proto::im::{self, Role, body::Kind};
use convene_types::{ConvId, Seq, UserId};
use proptest::prelude::*;
use prost::Message as _;

use super::world::{Packet, World, useq};
use crate::replica::fold;

const USERS: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Say { device: usize, conv: usize, what: What },
    Read { device: usize, conv: usize },
    Erase { conv: usize, first: u64, len: u64 },
    Sweep { conv: usize, last: u64 },
    Take { device: usize, index: usize },
    Repeat { device: usize, index: usize },
    Lose { device: usize, index: usize },
    Connect(usize),
    Disconnect(usize),
    Restart(usize),
    Older { device: usize, conv: usize },
    Wait,
}

#[derive(Clone, Debug)]
enum What {
    Text,
    Silent,
    Edit(u64),
    Recall(u64),
    React(u64, bool),
    Pin(u64, bool),
    Title,
    Kick(u64),
    Add(u64, bool),
    Leave,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        8 => Just(What::Text),
        1 => Just(What::Silent),
        3 => (0_u64..6).prop_map(What::Edit),
        2 => (0_u64..6).prop_map(What::Recall),
        2 => (0_u64..6, any::<bool>()).prop_map(|(back, remove)| What::React(back, remove)),
        1 => (0_u64..6, any::<bool>()).prop_map(|(back, remove)| What::Pin(back, remove)),
        1 => Just(What::Title),
        1 => (2..=USERS).prop_map(What::Kick),
        2 => (2..=USERS, any::<bool>()).prop_map(|(user, history)| What::Add(user, history)),
        1 => Just(What::Leave),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0_usize..(USERS as usize * 2);
    let at = (device.clone(), 0_usize..8);
    let say = (device.clone(), 0_usize..2, what());
    prop_oneof![
        6 => say.prop_map(|(device, conv, what)| Step::Say { device, conv, what }),
        2 => (device.clone(), 0_usize..2).prop_map(|(device, conv)| Step::Read { device, conv }),
        1 => (0_usize..2, 1_u64..20, 0_u64..6).prop_map(|(conv, first, len)| Step::Erase { conv, first, len }),
        1 => (0_usize..2, 1_u64..30).prop_map(|(conv, last)| Step::Sweep { conv, last }),
        14 => at.clone().prop_map(|(device, index)| Step::Take { device, index }),
        1 => at.clone().prop_map(|(device, index)| Step::Repeat { device, index }),
        1 => at.prop_map(|(device, index)| Step::Lose { device, index }),
        2 => device.clone().prop_map(Step::Connect),
        1 => device.clone().prop_map(Step::Disconnect),
        1 => device.clone().prop_map(Step::Restart),
        1 => (device, 0_usize..2).prop_map(|(device, conv)| Step::Older { device, conv }),
        2 => Just(Step::Wait),
    ]
}

fn body(what: &What, user: UserId, head: u64, salt: u64) -> im::Body {
    let of = |kind| im::Body { kind: Some(kind), ..im::Body::default() };
    let at = |kind, back: u64| im::Body { target: head.saturating_sub(back).max(1), ..of(kind) };
    let member =
        |user, with_history| im::Member { user, role: Role::Member.into(), with_history, ..im::Member::default() };
    match *what {
        What::Text => of(Kind::Text(im::Text { text: format!("text {salt}") })),
        What::Silent => of(Kind::Custom(im::Custom { r#type: "t".into(), silent: true, ..im::Custom::default() })),
        What::Edit(back) => at(Kind::Edit(im::Edit { text: format!("edit {salt}") }), back),
        What::Recall(back) => at(Kind::Recall(im::Recall {}), back),
        What::React(back, remove) => at(Kind::React(im::React { emoji: "+".into(), remove }), back),
        What::Pin(back, remove) => at(Kind::Pin(im::Pin { remove }), back),
        What::Title => {
            of(Kind::Group(im::GroupChange { title: Some(format!("title {salt}")), ..im::GroupChange::default() }))
        }
        What::Kick(user) => of(Kind::Members(im::MemberChange { remove: vec![user], ..im::MemberChange::default() })),
        What::Leave => of(Kind::Members(im::MemberChange { remove: vec![user.0], ..im::MemberChange::default() })),
        What::Add(user, history) => {
            let add = vec![member(user, history)];
            of(Kind::Members(im::MemberChange { add, ..im::MemberChange::default() }))
        }
    }
}

fn run(world: &mut World, convs: &[ConvId], step: Step) {
    match step {
        Step::Say { device, conv, what } => {
            let (id, conv) = (world.id(), convs[conv]);
            let (user, head) = (world.devices[device].user, world.logs[&conv].conv.head.0);
            let salt = u64::from_be_bytes(id.0[8..].try_into().unwrap());
            world.devices[device].replica.send(id, conv, body(&what, user, head, salt)).unwrap();
            world.pump(device);
        }
        Step::Read { device, conv } => {
            let replica = &mut world.devices[device].replica;
            let cursor = replica.conversation(convs[conv]).map(|c| c.cursor());
            let read = cursor.and_then(|cursor| replica.mark_read(convs[conv], cursor));
            world.pump(device);
            // Who is offline has read it, too; a shell would tell later.
            if let Some(read) = read {
                world.read(world.devices[device].user, &read);
            }
        }
        Step::Erase { conv, first, len } => {
            let ranges = vec![im::SeqRange { first, last: first + len }];
            let reason = im::EraseReason::Retention.into();
            let body = im::Body { kind: Some(Kind::Erase(im::Erase { ranges, reason })), ..im::Body::default() };
            let client_id = world.id().0.to_vec().into();
            // Beyond the head it is refused, and that is that.
            let _ = world.append(UserId(0), &im::Send { conv: convs[conv].0, client_id, body: Some(body) });
        }
        Step::Sweep { conv, last } => world.sweep(convs[conv], last),
        Step::Take { device, index } => {
            if index < world.devices[device].inbox.len() {
                world.take(device, index);
            }
        }
        Step::Repeat { device, index } => {
            if let Some(packet) = world.devices[device].inbox.get(index).cloned()
                && matches!(packet, Packet::Deliver(_) | Packet::User(_) | Packet::Page(_) | Packet::Ack(_))
            {
                world.hand_over(device, packet);
            }
        }
        Step::Lose { device, index } => {
            let inbox = &mut world.devices[device].inbox;
            if inbox.get(index).is_some_and(|p| matches!(p, Packet::Deliver(_))) {
                inbox.remove(index);
                world.devices[device].lost = true;
            }
        }
        Step::Connect(device) if !world.devices[device].online => world.connect(device),
        Step::Connect(_) => {}
        Step::Disconnect(device) => world.disconnect(device),
        Step::Restart(device) => world.restart(device),
        Step::Older { device, conv } => {
            if world.devices[device].online {
                let replica = &mut world.devices[device].replica;
                if let Some(from) = replica.conversation(convs[conv]).map(|c| c.newest().from) {
                    replica.load_older(convs[conv], from);
                }
                world.pump(device);
            }
        }
        Step::Wait => world.wait(600),
    }
}

/// What must hold at any time.
fn check_always(world: &World, cursors: &mut BTreeMap<(usize, ConvId), (Seq, Seq)>) {
    for (at, device) in world.devices.iter().enumerate() {
        for conversation in device.replica.conversations() {
            let (window, id) = (conversation.newest(), conversation.id());
            let seqs: Vec<_> = window.events().map(|event| event.seq).collect();
            let whole: Vec<_> = (window.from.0 + 1..=window.to.0).collect();
            assert_eq!(seqs, whole, "I6: device {at} shows a hole");
            assert!(conversation.state().read <= conversation.state().head, "I10: read past the head");
            let old = cursors.insert((at, id), (conversation.cursor(), conversation.state().floor));
            let (cursor, floor) = old.unwrap_or_default();
            // A stay that begins anew is another log.
            assert!(conversation.cursor() >= cursor || conversation.state().floor != floor, "I10: {at} fell");
        }
    }
}

/// Pages back until nothing older is there.
fn load_all(world: &mut World, convs: &[ConvId]) {
    for at in 0..world.devices.len() {
        for conv in convs {
            for _ in 0..200 {
                let replica = &mut world.devices[at].replica;
                let Some(from) = replica.conversation(*conv).map(|c| c.newest().from) else { break };
                if !replica.load_older(*conv, from) {
                    break;
                }
                world.pump(at);
                while !world.devices[at].inbox.is_empty() {
                    world.take(at, 0);
                }
            }
        }
    }
}

fn check_end(world: &World, convs: &[ConvId]) {
    for (at, device) in world.devices.iter().enumerate() {
        assert_eq!(useq(device).0, world.user_logs.get(&device.user).map_or(0, |log| log.len() as u64));
        for id in convs {
            let log = &world.logs[id];
            let shown = device.replica.conversation(*id);
            let Some(member) = log.members.get(&device.user) else {
                assert!(shown.is_none(), "I13: {at} knows a conversation of others");
                continue;
            };
            let shown = shown.unwrap_or_else(|| panic!("I7: {at} does not know {id}"));
            let (floor, head) = log.bounds(device.user);
            let want: Vec<_> = log.slice(floor.0, head.0).iter().map(|event| event.encode_to_vec()).collect();
            let got: Vec<_> = shown.newest().events().map(|event| event.encode_to_vec()).collect();
            assert_eq!(got.len(), want.len(), "I5: device {at} of {} in {id}", device.user);
            for (got, want) in got.iter().zip(&want) {
                let (got, want) = (im::Event::decode(&got[..]).unwrap(), im::Event::decode(&want[..]).unwrap());
                // Who is out learns of no erasure that came after.
                if member.role.is_some() || !is_tombstone(&want) {
                    assert_eq!(got, want, "I5, I14: device {at} of {} in {id}", device.user);
                }
            }
            let countable = |event: &&im::Event| event.ord > log.ord(Seq(event.seq - 1)).0;
            let events = log.slice(floor.0, head.0);
            let unread = events.iter().filter(|event| event.seq > member.read.0).filter(countable).count();
            assert_eq!(shown.unread(), unread as u64, "I9: device {at} of {} in {id}", device.user);
            let state = shown.state();
            assert_eq!((state.read, state.head, state.floor), (member.read, head, floor), "device {at} in {id}");
            assert_eq!(state.role, member.role.unwrap_or(Role::Unspecified), "role on device {at} in {id}");
            if member.role.is_some() {
                assert_eq!((&state.title, state.member_count), (&log.conv.title, log.conv.members), "device {at}");
            }
            if member.role.is_none() {
                continue;
            }
            for event in &events {
                let later = events.iter().filter(|later| later.body.as_ref().unwrap().target == event.seq);
                assert_eq!(shown.folded(Seq(event.seq)), fold::fold(event, later), "I12: device {at} in {id}");
            }
            let saved: Vec<_> = device.saved[id].values().collect();
            assert_eq!(saved, events.iter().collect::<Vec<_>>(), "what device {at} has written");
        }
    }
}

fn is_tombstone(event: &im::Event) -> bool {
    matches!(event.body.as_ref().unwrap().kind, Some(Kind::Tombstone(_)))
}

fn check_sends(world: &World) {
    let mut seqs: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (user, client_id, seq) in &world.acks {
        seqs.entry((user, client_id)).or_default().push(*seq);
    }
    for (key, seqs) in seqs {
        assert!(seqs.windows(2).all(|pair| pair[0] == pair[1]), "I3: {key:?} has {seqs:?}");
    }
    for (id, log) in &world.logs {
        let mut once = std::collections::BTreeSet::new();
        for event in &log.events {
            assert!(once.insert(event.client_id.clone()), "I3: {:?} twice in {id}", event.client_id);
        }
    }
    for device in &world.devices {
        let refused = |o: &super::super::Outgoing| matches!(o.progress, super::super::Progress::Refused(_));
        assert!(device.replica.outgoing().all(refused), "I16: something is neither sent nor refused");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn i03_i05_i06_i07_i09_i10_i12_i13_i14_i16_all_devices_end_with_the_servers_log(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(USERS, 2);
        let convs = [world.create(1, &[2]), world.create(1, &[2, 3])];
        let mut cursors = BTreeMap::new();
        for step in steps {
            run(&mut world, &convs, step);
            check_always(&world, &mut cursors);
        }
        world.settle();
        load_all(&mut world, &convs);
        check_end(&world, &convs);
        check_sends(&world);
    }
}
