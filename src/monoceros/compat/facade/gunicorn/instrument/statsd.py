"""The logger that tells statsd."""

from monoceros.log.statsd import Statsd as Statsd

# What ``extra`` of a message has, and the kinds of metrics.
METRIC_VAR = "metric"
VALUE_VAR = "value"
MTYPE_VAR = "mtype"
GAUGE_TYPE = "gauge"
COUNTER_TYPE = "counter"
HISTOGRAM_TYPE = "histogram"
TIMER_TYPE = "timer"
