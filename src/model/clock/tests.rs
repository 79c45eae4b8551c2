//! Times that are set, suspended and read back: what passes is what counts.

use super::*;

fn at(minute: i64) -> Time {
    micros(1_700_000_000_000_000 + minute * 60_000_000)
}

/// A machine whose clocks stand still but for the hand of the test: what passes, passes by suspension.
fn machine() -> (Clock, Arc<Shim>) {
    Clock::shimmed(at(0), || Duration::ZERO)
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_duration_is_as_long_as_it_was_going_to_be_however_the_wall_clock_is_set() {
    for hours in [2, -2, 24 * 40] {
        let (clock, shim) = machine();
        let (begun, era) = clock.stamp();
        let (until, steady) = (begun + TimeDelta::minutes(10), clock.to_steady(begun, era));
        shim.step(TimeDelta::hours(hours));
        shim.suspend(9 * MINUTE);
        let by = clock.drift().expect("the wall clock was set");
        assert_eq!(by, TimeDelta::hours(hours));
        let step = clock.step(by).unwrap();
        assert_eq!((clock.era(), step.era, clock.drift()), (1, 1, None));
        assert_eq!(clock.now(), at(9) + TimeDelta::hours(hours), "it is what the wall clock says");
        assert!(clock.now_in(era) < until, "set by {hours} h");
        assert_eq!((clock.steady(), clock.to_steady(begun, era)), (at(9), steady));
        assert_eq!(clock.from_steady(clock.steady(), 1), clock.now());
        shim.suspend(MINUTE);
        assert_eq!(clock.now_in(era), until, "set by {hours} h");
    }
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_leaves_no_trace_in_a_duration() {
    let (clock, shim) = machine();
    for _ in 0..2_000 {
        for hours in [2, -2] {
            shim.step(TimeDelta::hours(hours));
            clock.step(clock.drift().unwrap());
        }
    }
    shim.suspend(MINUTE);
    assert_eq!((clock.now(), clock.steady(), clock.era()), (at(1), at(1), 4_000));
    assert_eq!(clock.keep("b").steps.len(), 1_000, "what is remembered is bounded");
}

#[test]
fn a_second_is_no_step() {
    let (clock, shim) = machine();
    shim.step(TOLERANCE);
    assert_eq!(clock.drift(), None);
    shim.step(TimeDelta::milliseconds(1));
    assert_eq!(clock.drift(), Some(TOLERANCE + TimeDelta::milliseconds(1)));
}

#[test]
fn a_new_life_on_the_same_boot_knows_what_has_passed_whatever_the_wall_clock_says() {
    for hours in [0, 2, -2] {
        let (before, shim) = machine();
        shim.suspend(5 * MINUTE);
        let kept = before.keep("boot");
        let (clock, shim) = machine();
        shim.suspend(15 * MINUTE);
        shim.step(TimeDelta::hours(hours));
        assert_eq!(clock.go_on(kept, "boot"), None, "the machine has counted it");
        assert_eq!(clock.now(), at(15));
        assert_eq!(clock.drift().unwrap_or_default(), TimeDelta::hours(hours));
    }
}

#[test]
fn a_new_life_on_another_boot_takes_the_wall_clock_s_word_but_never_goes_back_without_a_step() {
    let (before, _) = machine();
    let kept = Kept { era: 7, steps: vec![Step { era: 7, by: 60_000_000, at: 0 }], ..before.keep("one") };
    let (clock, shim) = machine();
    shim.suspend(30 * MINUTE);
    assert_eq!(clock.go_on(kept.clone(), "two"), Some(TimeDelta::minutes(30)));
    assert_eq!((clock.now(), clock.drift(), clock.era()), (at(30), None, 7));
    assert_eq!(clock.now_in(6), at(29), "what was written before the last step is known to be of then");
    let (clock, shim) = machine();
    shim.step(TimeDelta::minutes(-30));
    assert_eq!(clock.go_on(kept, "two"), Some(TimeDelta::minutes(-30)));
    assert_eq!((clock.now(), clock.drift()), (at(0), Some(TimeDelta::minutes(-30))));
}

#[test]
fn the_log_is_not_gone_behind_without_a_step() {
    let (clock, _) = machine();
    clock.not_before(at(0) - TimeDelta::hours(1));
    assert_eq!((clock.now(), clock.drift()), (at(0), None));
    clock.not_before(at(60));
    assert_eq!((clock.now(), clock.drift()), (at(60), Some(TimeDelta::hours(-1))));
}
