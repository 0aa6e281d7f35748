"""Mathematics of background matching, and the state machine of a group: values in, values out."""

from core.background import Background, SplineBackground
from core.chebyshev import ChebyshevBackground
from core.config import FitProfile, GridStatistic, InterpStyle, MatchConfig, UndersampleStyle
from core.errors import (
    BinSizeError,
    ConfigError,
    CoreError,
    DimensionError,
    ImageError,
    ImageTypeError,
    InterpolationError,
    MissingExposureError,
    ModelOverflowError,
    NoExposuresError,
    NoOverlapError,
    NoReferenceError,
    OrderError,
    ScalerError,
    SingularFitError,
)
from core.image import MaskedImage
from core.matching import (
    NUMERICS_VERSION,
    Match,
    match_background,
)
from core.quality import Quality
from core.reference import (
    ReferenceChoice,
    SelectionStatistics,
    reference_costs,
    select_reference,
    selection_statistics,
)
from core.run import MatchResult, MatchResults, match_backgrounds
from core.scaling import Scaler, scaled
from core.verdict import Judgement, Verdict, VerdictLimits, VerdictProfile, judge
from core.warm import WarmUp, warm_up

__all__ = [
    "NUMERICS_VERSION",
    "Background",
    "BinSizeError",
    "ChebyshevBackground",
    "ConfigError",
    "CoreError",
    "DimensionError",
    "FitProfile",
    "GridStatistic",
    "ImageError",
    "ImageTypeError",
    "InterpStyle",
    "InterpolationError",
    "Judgement",
    "MaskedImage",
    "Match",
    "MatchConfig",
    "MatchResult",
    "MatchResults",
    "MissingExposureError",
    "ModelOverflowError",
    "NoExposuresError",
    "NoOverlapError",
    "NoReferenceError",
    "OrderError",
    "Quality",
    "ReferenceChoice",
    "Scaler",
    "ScalerError",
    "SelectionStatistics",
    "SingularFitError",
    "SplineBackground",
    "UndersampleStyle",
    "Verdict",
    "VerdictLimits",
    "VerdictProfile",
    "WarmUp",
    "judge",
    "match_background",
    "match_backgrounds",
    "reference_costs",
    "scaled",
    "select_reference",
    "selection_statistics",
    "warm_up",
]
