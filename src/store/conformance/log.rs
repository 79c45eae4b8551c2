//! What every backend must do with the event log, and with the pages of runs and journals.

use super::*;

pub(crate) async fn keys_come_back_oldest_first_and_are_the_same_after_a_restart(home: &impl Home) {
    let store = home.open();
    for start in [0, 10, 20] {
        store.commit(vec![Write::Events(events(start..start + 10))]).await.unwrap();
    }
    let expected: Vec<u64> = (0..30).map(|n| store.event_key("test", &format!("e{n}"))).collect();
    assert_eq!(store.recent_keys(100).await.unwrap(), expected);
    assert_eq!(store.recent_keys(15).await.unwrap(), expected[15..]);
    assert_ne!(store.event_key("ab", "c"), store.event_key("a", "bc"));
    drop(store);
    let store = home.open();
    assert_eq!(store.recent_keys(100).await.unwrap(), expected);
    assert_eq!(store.event_key("test", "e7"), expected[7]);
}

pub(crate) async fn a_query_finds_the_events_it_asks_for_and_no_others(home: &impl Home) {
    let store = home.open();
    for start in (0..100).step_by(20) {
        store.commit(vec![Write::Events(events(start..start + 20))]).await.unwrap();
    }
    store
        .commit(vec![Write::Events(vec![event(100, "other.thing", json!("Needle in \"hay\""))])])
        .await
        .unwrap();
    let all = EventQuery { limit: 1_000, ..Default::default() };
    let pattern = |text: &str| Some(Pattern::try_new(text).unwrap());
    let even = EventQuery { pattern: pattern("even.*"), ..all.clone() };
    let between = EventQuery { since: Some(at(15)), until: Some(at(45)), ..all.clone() };
    let both = EventQuery { pattern: pattern("odd.>"), ..between.clone() };
    let text = EventQuery { text: Some("nEEdle".into()), ..all.clone() };
    let cases: Vec<(EventQuery, Vec<String>)> = vec![
        (all.clone(), names(0..101)),
        (even, (0..100).step_by(2).map(|n| format!("e{n}")).collect()),
        (between, names(15..45)),
        (both, (15..45).step_by(2).map(|n| format!("e{n}")).collect()),
        (text, names(100..101)),
        (EventQuery { pattern: pattern("nothing.here"), ..all.clone() }, Vec::new()),
        (EventQuery { since: Some(at(1_000)), ..all.clone() }, Vec::new()),
        // All of them arrived at second 1,000 by the home's clock, whatever time they give.
        (EventQuery { arrived_since: Some(at(1_000)), ..all.clone() }, names(0..101)),
        (EventQuery { arrived_since: Some(at(1_001)), ..all.clone() }, Vec::new()),
    ];
    for (query, expected) in cases {
        let page = store.events(query.clone()).await.unwrap();
        assert_eq!((ids(&page.items), page.next_cursor), (expected.clone(), None), "{query:?}");
        let newest = EventQuery { newest_first: true, ..query };
        let reversed: Vec<String> = expected.into_iter().rev().collect();
        assert_eq!(ids(&store.events(newest.clone()).await.unwrap().items), reversed, "{newest:?}");
    }
}

pub(crate) async fn pages_joined_are_the_whole_list_in_both_directions(home: &impl Home) {
    let store = home.open();
    for start in (0..60).step_by(15) {
        store.commit(vec![Write::Events(events(start..start + 15))]).await.unwrap();
    }
    for newest_first in [false, true] {
        for limit in [1, 7, 15, 30, 60] {
            let mut query = EventQuery { limit, newest_first, ..Default::default() };
            let (mut seen, mut pages) = (Vec::new(), 0);
            loop {
                let page = store.events(query.clone()).await.unwrap();
                assert!(page.items.len() <= limit);
                seen.extend(ids(&page.items));
                pages += 1;
                match page.next_cursor {
                    Some(cursor) => query.cursor = Some(cursor),
                    None => break,
                }
            }
            if newest_first {
                seen.reverse();
            }
            assert_eq!(seen, names(0..60), "limit {limit}, newest first: {newest_first}");
            assert_eq!(pages, 60_usize.div_ceil(limit), "no empty page at the end");
        }
    }
    let newest = EventQuery { limit: 5, newest_first: true, ..Default::default() };
    let first = store.events(newest.clone()).await.unwrap();
    store.commit(vec![Write::Events(events(60..70))]).await.unwrap();
    let second = store.events(EventQuery { cursor: first.next_cursor, ..newest }).await.unwrap();
    let expected: Vec<String> = names(50..55).into_iter().rev().collect();
    assert_eq!(
        ids(&second.items),
        expected,
        "events that arrive while somebody turns pages do not shift them"
    );
}

pub(crate) async fn an_event_comes_back_as_it_went_in_however_large_or_strange(home: &impl Home) {
    let store = home.open();
    let pretty: Event = serde_json::from_str(
        "{\"id\":\"p\",\"topic\":\"a.b\",\"source\":\"s\",\"time\":\"2026-01-01T00:00:00.123456789+02:00\",
          \"data\":{\n  \"text\": \"two\\nlines\\u0000\",\n\r\n  \"n\": 1.0e2\n}}",
    )
    .unwrap();
    let full = Event {
        subject: Some("Käfer 🐞\u{2028}".into()),
        arrived: Some(at(2)),
        priority: Priority::Critical,
        traceparent: Some("00-a-b-01".into()),
        correlationid: Some("c".into()),
        causationid: Some("d".into()),
        extensions: BTreeMap::from([("n".into(), json!(7)), ("text".into(), json!("\n\t\"ü\""))]),
        ..Event::new(
            "日本",
            Topic::try_new("grüße.welt").unwrap(),
            "/源",
            at(1),
            json!({ "a": [null, true] }),
        )
    };
    let large = Event::new("large", Topic::try_new("a.b").unwrap(), "s", at(2), json!("é".repeat(3 << 20)));
    let old =
        Event::new("old", Topic::try_new("a.b").unwrap(), "s", micros(-62_000_000_000_000_000), json!(1));
    let many: Vec<_> = [pretty, full, large, old].into_iter().map(Arc::new).collect();
    store.commit(vec![Write::Events(many.clone())]).await.unwrap();
    drop(store);
    let store = home.open();
    let back = replayed(&*store, micros(i64::MIN)).await;
    assert_eq!(back.len(), many.len());
    for (back, sent) in back.iter().zip(&many) {
        assert!(back == sent.as_ref(), "{} changed", sent.id);
    }
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn the_log_is_read_on_from_a_number_and_what_was_noted_about_an_event_is_found(
    home: &impl Home,
) {
    let store = home.open();
    let note = |about, text: &str| Write::Notes { about, text: text.into() };
    assert_eq!(store.replay_log(0, Box::new(|_, _| panic!("nothing is there"))).await.unwrap(), 0);
    // Handed in at once, so that a backend may put them into one group.
    let first = store.commit(vec![Write::Events(events(1..4)), note(3, "one to three")]);
    let second = store.commit(vec![Write::Events(events(4..5))]);
    let third = store.commit(vec![Write::Events(events(5..7)), note(2, "five and six")]);
    for commit in [first, second, third] {
        commit.await.unwrap();
    }
    drop(store);
    let store = home.open();
    store.commit(vec![Write::Events(vec![event(2, "even.n", json!("again"))])]).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    let each = move |number, event: Event| into.lock().unwrap().push((number, event.id));
    assert_eq!(store.replay_log(4, Box::new(each)).await.unwrap(), 7);
    let expected = [(5, "e5"), (6, "e6"), (7, "e2")].map(|(n, id)| (n, id.to_owned()));
    assert_eq!(*seen.lock().unwrap(), expected);
    // All of them arrived at second 1,000 by the home's clock.
    assert_eq!(store.last_before(at(1_000)).await.unwrap(), 0);
    assert_eq!(store.last_before(at(1_001)).await.unwrap(), 7);
    let found = store.find_event("e2".into()).await.unwrap().unwrap();
    assert_eq!((found.0, found.1.data.value()), (7, json!("again")), "the latest of them");
    assert_eq!(store.find_event("e6".into()).await.unwrap().unwrap().0, 6);
    assert!(store.find_event("e".into()).await.unwrap().is_none(), "a part of an id is no id");
    for (number, expected) in [
        (0, None),
        (1, Some((1, "one to three"))),
        (3, Some((1, "one to three"))),
        (4, None),
        (5, Some((5, "five and six"))),
        (6, Some((5, "five and six"))),
        (7, None),
    ] {
        let found = store.notes(number).await.unwrap();
        assert_eq!(found, expected.map(|(n, text)| (n, text.to_owned())), "of event {number}");
    }
}

pub(crate) async fn runs_and_journals_come_in_pages_and_open_runs_by_themselves(home: &impl Home) {
    let store = home.open();
    let wish = intent(1, Status::Running, "boot", "k1");
    let runs: Vec<_> = (1..=7).map(|n| run(n, wish.id)).collect();
    let mut writes: Vec<Write> = runs.iter().map(|run| Write::Run(Box::new(run.clone()))).collect();
    let other = run(99, intent(2, Status::Running, "boot", "k2").id);
    writes.push(Write::Run(Box::new(other)));
    let ended = crate::model::Run { status: RunStatus::Succeeded, ..runs[2].clone() };
    writes.push(Write::Run(Box::new(ended.clone())));
    let steps: Vec<_> = (0..5).map(|n| step(runs[0].id, n, StepStatus::Finished)).collect();
    writes.push(Write::Steps(steps.clone()));
    store.commit(writes).await.unwrap();

    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = store.runs_page(wish.id, 3, cursor).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let newest: Vec<_> =
        runs.iter().rev().map(|run| if run.id == ended.id { ended.clone() } else { run.clone() }).collect();
    assert_eq!(seen, newest);
    let open = store.open_runs_of(wish.id).await.unwrap();
    assert_eq!((open.len(), open.contains(&ended)), (6, false));

    let first = store.steps_page(runs[0].id, 2, None).await.unwrap();
    assert_eq!(first.items, steps[..2]);
    let rest = store.steps_page(runs[0].id, 9, first.next_cursor).await.unwrap();
    assert_eq!((rest.items.as_slice(), rest.next_cursor), (&steps[2..], None));
    let wrong = store.steps_page(runs[0].id, 9, Some("x".into())).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
}
