// Command golang is the peer (c): client_golang's const metrics, built once, behind promhttp.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	info   = "automation_info"
	clicks = "automation_link_clicks"
	total  = "automation_total_clicks"
)

// links hands out the metrics that were built when the rows were read.
type links struct {
	descriptions []*prometheus.Desc
	metrics      []prometheus.Metric
}

func (l *links) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range l.descriptions {
		descriptions <- description
	}
}

func (l *links) Collect(metrics chan<- prometheus.Metric) {
	for _, metric := range l.metrics {
		metrics <- metric
	}
}

func (l *links) add(description *prometheus.Desc, value float64, labels ...string) {
	l.metrics = append(l.metrics, prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...))
}

func read(path string, helps map[string]string) (*links, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	infos := prometheus.NewDesc(info, helps[info], []string{"automation_id", "name"}, nil)
	rows := prometheus.NewDesc(clicks, helps[clicks], []string{"automation_id", "step_id", "url", "url_location"}, nil)
	totals := prometheus.NewDesc(total, helps[total], []string{"automation_id"}, nil)
	held := &links{descriptions: []*prometheus.Desc{infos, rows, totals}}
	sums := map[string]float64{}
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		// Each field is copied out of the line: a label must not keep the whole line in memory.
		fields := strings.Split(scanner.Text(), "\t")
		if len(fields) != 5 {
			return nil, fmt.Errorf("%s: a row has %d fields instead of 5", path, len(fields))
		}
		value, err := strconv.ParseFloat(fields[4], 64)
		if err != nil {
			return nil, err
		}
		sums[strings.Clone(fields[0])] += value
		held.add(rows, value, strings.Clone(fields[0]), strings.Clone(fields[1]), strings.Clone(fields[2]), strings.Clone(fields[3]))
	}
	for id, sum := range sums {
		held.add(infos, 1, id, id)
		held.add(totals, sum, id)
	}
	return held, scanner.Err()
}

func helpTexts(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	return texts, json.Unmarshal(content, &texts)
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: golang ROWS HELPS")
	}
	helps, err := helpTexts(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	held, err := read(os.Args[1], helps)
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(held)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, nil))
}
