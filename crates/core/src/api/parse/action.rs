//! What happens to a row: `action` of rules and related entries, and how columns are treated.

use std::collections::BTreeSet;

use super::{At, Names, all};
use crate::api::rule::{
    ActionSpec, ActionType, ColumnSpec, ConstantSpec, DateUnit as DateUnitWord, GeneraliseDateSpec,
    GeneraliseNumberSpec, RelatedActionSpec, RelatedActionType, StrategyName,
};
use crate::name::Ident;
use crate::policy::{Action, RelatedAction, Treatment};
use crate::strategy::{DateUnit, Strategy};

pub(super) fn parse_action(at: &At<'_>, spec: &ActionSpec, names: &Names) -> Option<Action> {
    let ActionSpec {
        kind,
        columns,
        seal,
        unknown,
    } = spec;
    at.known::<ActionSpec>(unknown);
    let kind = at.field("type").word(kind.as_ref());
    if seal.is_some() && kind != Some(ActionType::Seal) {
        at.field("seal")
            .invalid("only the type Seal takes it: remove it, or change the type");
    }
    match kind? {
        // Where the rows go is no part of the action: see `Rule::seal`.
        ActionType::Delete | ActionType::Seal => {
            no_columns(at, columns.as_deref()).map(|()| Action::Delete)
        }
        ActionType::Anonymise => {
            parse_columns(&at.field("columns"), columns.as_deref(), names).map(Action::Anonymise)
        }
    }
}

pub(super) fn parse_related_action(
    at: &At<'_>,
    spec: &RelatedActionSpec,
    names: &Names,
) -> Option<RelatedAction> {
    let RelatedActionSpec {
        kind,
        columns,
        unknown,
    } = spec;
    at.known::<RelatedActionSpec>(unknown);
    let kind = at.field("type").word(kind.as_ref());
    match kind? {
        RelatedActionType::Delete => {
            no_columns(at, columns.as_deref()).map(|()| RelatedAction::Delete)
        }
        RelatedActionType::Detach => {
            no_columns(at, columns.as_deref()).map(|()| RelatedAction::Detach)
        }
        RelatedActionType::Seal => no_columns(at, columns.as_deref()).map(|()| RelatedAction::Seal),
        RelatedActionType::Anonymise => {
            parse_columns(&at.field("columns"), columns.as_deref(), names)
                .map(RelatedAction::Anonymise)
        }
    }
}

fn no_columns(at: &At<'_>, columns: Option<&[ColumnSpec]>) -> Option<()> {
    if columns.is_some() {
        at.field("columns")
            .invalid("only the type Anonymise takes columns: remove them, or change the type");
        return None;
    }
    Some(())
}

fn parse_columns(
    at: &At<'_>,
    columns: Option<&[ColumnSpec]>,
    names: &Names,
) -> Option<Vec<Treatment>> {
    let columns = columns.unwrap_or_default();
    at.bounded(columns, 64);
    if columns.is_empty() {
        at.invalid("is required, such as `[{column: full_name, strategy: Nullify}]`");
        return None;
    }
    let mut seen: BTreeSet<Ident> = BTreeSet::new();
    all(columns, |i, column| {
        let at = at.index(i);
        let treatment = parse_column(&at, column, names)?;
        if !seen.insert(treatment.column.clone()) {
            at.field("column")
                .invalid("this column is treated twice: keep one entry");
        }
        Some(treatment)
    })
}

fn parse_column(at: &At<'_>, spec: &ColumnSpec, names: &Names) -> Option<Treatment> {
    let ColumnSpec {
        column,
        strategy,
        constant,
        generalise_date,
        generalise_number,
        unknown,
    } = spec;
    at.known::<ColumnSpec>(unknown);
    let column = at
        .field("column")
        .column(column.as_ref(), names, "`full_name`");
    let strategy = at.field("strategy").word(strategy.as_ref())?;
    let members = [
        (StrategyName::Constant, "constant", constant.is_some()),
        (
            StrategyName::GeneraliseDate,
            "generaliseDate",
            generalise_date.is_some(),
        ),
        (
            StrategyName::GeneraliseNumber,
            "generaliseNumber",
            generalise_number.is_some(),
        ),
    ];
    for (owner, member, present) in members {
        if present && strategy != owner {
            at.field(member).invalid(format!(
                "has no effect with strategy {strategy:?}: remove it, or change the strategy"
            ));
        }
    }
    let parsed = match strategy {
        StrategyName::Nullify => Some(Strategy::Nullify),
        StrategyName::Pseudonym => Some(Strategy::Pseudonym),
        StrategyName::Constant => {
            let at = at.field("constant");
            at.required(constant.as_ref(), "`{value: erased}`")
                .and_then(|ConstantSpec { value, unknown }| {
                    at.known::<ConstantSpec>(unknown);
                    let at = at.field("value");
                    let value = at.required(value.as_ref(), "`erased`")?;
                    if value.contains('\0') {
                        at.invalid("contains a NUL character, which no text column can hold");
                        return None;
                    }
                    Some(Strategy::Constant {
                        value: value.clone(),
                    })
                })
        }
        StrategyName::GeneraliseDate => {
            let at = at.field("generaliseDate");
            at.required(generalise_date.as_ref(), "`{to: Year}`")
                .and_then(|GeneraliseDateSpec { to, unknown }| {
                    at.known::<GeneraliseDateSpec>(unknown);
                    Some(Strategy::GeneraliseDate {
                        to: match at.field("to").word(to.as_ref())? {
                            DateUnitWord::Month => DateUnit::Month,
                            DateUnitWord::Quarter => DateUnit::Quarter,
                            DateUnitWord::Year => DateUnit::Year,
                            DateUnitWord::Decade => DateUnit::Decade,
                        },
                    })
                })
        }
        StrategyName::GeneraliseNumber => {
            let at = at.field("generaliseNumber");
            at.required(generalise_number.as_ref(), "`{width: 1000}`")
                .and_then(|GeneraliseNumberSpec { width, unknown }| {
                    at.known::<GeneraliseNumberSpec>(unknown);
                    let at = at.field("width");
                    let width = at.required(width.as_ref(), "`1000`")?;
                    Some(Strategy::GeneraliseNumber {
                        width: at.within(*width, 2, 2_000_000_000)?,
                    })
                })
        }
    };
    Some(Treatment {
        column: column?,
        strategy: parsed?,
    })
}
